# SPDX-License-Identifier: Apache-2.0
"""Finding windows: what of a source looks like the target, at which noise level.

The package can be called: `la.annotate(mix)` is `annotations.annotate`. As soon as any of its modules is loaded, Python
makes the package the attribute `annotate` of its parent, so a function beside it of that name would come and go.
"""

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    @property
    def __wrapped__(self) -> Callable[..., Any]:
        # What `inspect` shows the signature of, in place of the one below.
        from lerobot_ambient.annotate.annotations import annotate

        return annotate

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__wrapped__(*args, **kwargs)


sys.modules[__name__].__class__ = _CallablePackage
