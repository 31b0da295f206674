# SPDX-License-Identifier: Apache-2.0
"""The command line: each module that `__main__.VERBS` names is one verb of `lerobot-ambient`.

A verb module has `add_parser(subparsers)`, which adds its parser and sets the default `run`: a function from
the parsed arguments to an exit code (None counts as 0). Its top level imports the standard library only; what
the verb needs is imported inside `run`, so that `lerobot-ambient --help` answers at once.

A verb that sets the default `takes_more` to True finds the arguments its parser does not know in `args.more`,
for the stock LeRobot command it hands them to; for other verbs such arguments are an error.
"""
