"""To be imported before anything else by a process that decodes no image.

pydicom loads every image codec that is installed: 35 MB that receiving never uses. Here their imports are made to fail, as if
they were not installed.
"""

import sys

for _unused in ("PIL", "gdcm", "jpeg_ls", "libjpeg", "numpy", "openjpeg", "pylibjpeg", "rle"):
    sys.modules.setdefault(_unused, None)  # type: ignore[arg-type]
