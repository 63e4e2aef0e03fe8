"""A self-contained HTML page that enlarges photos in the browser of whoever opens it."""

import base64
import gzip
import tarfile

from comparison.page import as_html, template
from errors import UserError
from files import atomic_path
from imaging.marks import add_mark

VERSION = "1.30.0"
RUNTIME = f"ONNX Runtime Web {VERSION} (MIT licence)"
PACKAGE = f"https://registry.npmjs.org/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz"
SHA256 = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"
LIBRARY, WASM = "package/dist/ort.wasm.bundle.min.mjs", "package/dist/ort-wasm-simd-threaded.wasm"


def fetch_runtime():
    """Returns the path of the package with the runtime, 33 MB, which is downloaded once into Keras' folder.

    Raises:
        UserError: it cannot be downloaded.
    """
    from keras.utils import get_file

    try:
        return get_file(PACKAGE.rpartition("/")[2], PACKAGE, file_hash=SHA256, cache_subdir="runtimes")
    except Exception as error:
        if type(error) is not Exception and not isinstance(error, (OSError, ValueError)):  # get_file raises plain ones
            raise
        raise UserError(f"{PACKAGE}: cannot be downloaded: {' '.join(str(error).split())}") from error


def write_enlarging_page(path, package, model, facts):
    """Writes a page that enlarges what is dropped on it.

    Args:
        path: of the page.
        package: path of the package with the runtime, see `fetch_runtime`.
        model: content of the ONNX file, as `weights.write_runtime` makes it.
        facts: of the model, a dict of text: name, scale, halo, licence.
    """
    with tarfile.open(package) as archive:
        library, wasm = (gzip.compress(archive.extractfile(name).read(), 9, mtime=0) for name in (LIBRARY, WASM))
    parts = {name: base64.b64encode(content).decode("ascii") for name, content in
             (("library", library), ("wasm", wasm), ("model", model))}
    texts = {key: as_html(facts[key]) for key in ("name", "scale", "halo", "licence")}
    page = template("enlarging.html").substitute(parts, runtime=RUNTIME, **texts)
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
        add_mark(temporary, {"kind": "page"})
