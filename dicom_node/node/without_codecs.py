"""To be imported first by a process that decodes no image and prints no traceback.

pydicom and structlog load every image codec and every printer of tracebacks that is installed: 40 MB that a receiving worker
never uses. Here their imports are made to fail, as if they were not installed.
"""

import sys

for _unused in ("PIL", "gdcm", "jpeg_ls", "libjpeg", "numpy", "openjpeg", "pylibjpeg", "rich", "rle"):
    sys.modules.setdefault(_unused, None)  # type: ignore[arg-type]
