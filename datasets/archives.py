"""DIV2K's archives: their names and checksums, fetching them, and unpacking them."""

import hashlib
import shutil
import urllib.error
import urllib.request
import zipfile
from http.client import HTTPException
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from errors import UserError
from files import atomic_path, make_folder, write_errors

ADDRESS = "https://data.vision.ee.ethz.ch/cvl/DIV2K"
BLOCK = 1 << 20  # bytes read at once
TIMEOUT = 60  # seconds without an answer
# Size in bytes and SHA-256, as TensorFlow Datasets (div2k, checksums.tsv) has recorded them.
ARCHIVES = {
    "DIV2K_train_HR": (3530603713, "9d0b9c463f6e35b6c62cc6a930ee2224f670b34c1df841a57670f9acf0f6c335"),
    "DIV2K_train_LR_bicubic_X2": (925390592, "a53a424317575838dadce4bcd97cf7b744d6855f43740ed5f0245af3cf4bd850"),
    "DIV2K_train_LR_bicubic_X3": (427847282, "ad5c8e5507e2765823d3c2c5bd0934842efcd487c5370604c224090898b3163a"),
    "DIV2K_train_LR_bicubic_X4": (246914039, "f006b837f4eb52b82909aa01478e6d6d199eefce932179491d0c9dbb706dde3a"),
    "DIV2K_train_LR_difficult": (263211252, "50624a649a0857fdb8e4a948e79c44c37dedbacb5729f9349cc983c47bfdf799"),
    "DIV2K_train_LR_mild": (275693358, "ce5fbe6252d1000c55656b0666dccdeaf8e66b86ae5ff528c49343012e8e1391"),
    "DIV2K_train_LR_unknown_X2": (734182735, "f166eeba119fc55bfc9a99c05561980e7a965382f36640ce8ef626c9f61d122c"),
    "DIV2K_train_LR_unknown_X3": (377245548, "b6455af3b2aa02d76ae3238c49d7aae3b48b0acdc44b5bdc0f4c02d40ebcb43b"),
    "DIV2K_train_LR_unknown_X4": (208956781, "d131c7aad51e0abbdc4433362ce899e5e75f40b9847ead70ee995188e8fd0adb"),
    "DIV2K_train_LR_wild": (1079873385, "ce68f7db812d12241212bb9d6b07406472bef3d785c463238888b44189c5ceb3"),
    "DIV2K_train_LR_x8": (65753171, "706fa23164fa0756a3accb78e69b937ea47f882b47e13506895deefd623a35c2"),
    "DIV2K_valid_HR": (448993893, "20dd31fd84d777bc1cf5d6b7654a3f569c0aec74458ae094122ad1d0489900fc"),
    "DIV2K_valid_LR_bicubic_X2": (117763600, "60eed9875c697df51204aa579e2a699e1d5215095788a097ff54dd17e2664d57"),
    "DIV2K_valid_LR_bicubic_X3": (54513392, "04b9a2ed3b4a0715d3924d3ae8514830c3328fac8d30512ce716d6f419e052a3"),
    "DIV2K_valid_LR_bicubic_X4": (31505881, "a50a5d1c4b88de4e8d300d8fb2b904c52fe93b2b298a4899697760d7cbb6d553"),
    "DIV2K_valid_LR_difficult": (33596835, "08b4e740496b50846497463121329c707dd8ed26eb8a655d175e9a595286d5e8"),
    "DIV2K_valid_LR_mild": (35300939, "eedfbcb6acc6662a3f52924aaa5a423693244f3276d37c3fca7944c7325859ff"),
    "DIV2K_valid_LR_unknown_X2": (93433041, "ec50bb084c0011130874efd2ed7859b46e0aa7104c565818d5271ac315e04e0a"),
    "DIV2K_valid_LR_unknown_X3": (48143315, "ebf23a3e1ef6800cae97285d3a50d022d89b62655e685884c0abcc89eec5b809"),
    "DIV2K_valid_LR_unknown_X4": (26695095, "e3897555a98de1157c20974fb6093105fbc1ff5e9caf7bd348f58f6da140fbef"),
    "DIV2K_valid_LR_wild": (34655417, "ce921d2048eef3e1fd9ba359d1876b1c93e33bd7a531306f7782672391df9820"),
    "DIV2K_valid_LR_x8": (8428103, "3432f23da7c6887acc5e2cde9669427a7710b3b256c58912dddc19e3eda5bc69"),
}


def archive_names(downgrades, scales):
    """Returns the names of the archives that hold the images for these downgrades and scales, HR first.

    Raises:
        UserError: there is no archive of a downgrade at any of the scales.
    """
    names = []
    for downgrade in downgrades:
        endings = [f"{downgrade}_X{scale}" for scale in scales]
        endings += ["x8"] if downgrade == "bicubic" and 8 in scales else []
        endings += [downgrade] if 4 in scales else []  # mild, difficult and wild are for scale 4 alone
        found = [ending for ending in endings if f"DIV2K_train_LR_{ending}" in ARCHIVES]
        if not found:
            raise UserError(f"DIV2K has no archive of {downgrade} at scale {', '.join(map(str, scales))}")
        names += found
    return [f"DIV2K_{subset}_{name}" for name in ("HR", *(f"LR_{ending}" for ending in names))
            for subset in ("train", "valid")]


def fetch(address, path, size, sha256, progress=lambda num_bytes: None):
    """Fetches a file, unless it is there; a part that an earlier try has left is completed.

    Args:
        address: of the file.
        path: to write it to; what has come so far lies beside it as NAME.part.
        size: of the file in bytes.
        sha256: its checksum.
        progress: function of the number of bytes that have come, those of an earlier try included.

    Raises:
        UserError: the server does not answer, or sends another file.
        WriteError: the system refuses to write.
    """
    if path.is_file() and path.stat().st_size == size:
        progress(size)
        return
    make_folder(path.parent)
    part = path.with_name(f"{path.name}.part")
    done = part.stat().st_size if part.is_file() else 0
    if done < size:
        progress(_receive(address, part, done, progress))
    if part.stat().st_size < size:
        raise UserError(f"{address}: was cut off after {part.stat().st_size:,} of {size:,} bytes: try again, it goes "
                        "on where it stopped")
    with open(part, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if part.stat().st_size != size or found != sha256:
        part.unlink()
        raise UserError(f"{address}: is not the file that was expected (its checksum is {found}, not {sha256}): what "
                        "came is removed; try again")
    with write_errors(path):
        part.replace(path)


def fetch_all(names, folder, address):
    """Fetches archives into `folder` and unpacks them there; shows how far it is.

    Args:
        names: as `archive_names` returns them.
        folder: of the archives, which stay there, and of their images.
        address: that the archives are below.

    Returns:
        The paths of the images.

    Raises:
        UserError: as `fetch` and `unpack`.
    """
    images = []
    for name in names:
        size, sha256 = ARCHIVES[name]
        path = folder / f"{name}.zip"
        if not path.is_file():
            print(f"{address}/{path.name}: {size / 1e6:,.0f} MB", flush=True)
        with tqdm(total=size, unit="B", unit_scale=True, desc=path.name, leave=False, disable=None) as bar:
            fetch(f"{address}/{path.name}", path, size, sha256, bar.update)
        images += unpack(path, folder)
    return images


def unpack(path, folder):
    """Unpacks the images of an archive below `folder`; those that are there already are left alone.

    Returns:
        The paths of the images.

    Raises:
        UserError: the archive is damaged, or a name in it leads out of the folder.
    """
    images = []
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                target = _target(path, folder, member)
                if target is None:
                    continue
                images.append(target)
                if target.is_file() and target.stat().st_size == member.file_size:
                    continue
                with archive.open(member) as source, atomic_path(target) as temporary, open(temporary, "wb") as file:
                    shutil.copyfileobj(source, file, BLOCK)
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise UserError(f"{path}: is damaged ({error}): remove it, and it is fetched again") from error
    return images


def _receive(address, part, done, progress):
    """Appends what is missing to `part`; returns how much of the earlier part was kept."""
    request = urllib.request.Request(address, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            kept = done if answer.status == 206 else 0  # a server that knows no ranges sends it all
            with write_errors(part), open(part, "ab" if kept else "wb") as file:
                while block := answer.read(BLOCK):
                    file.write(block)
                    progress(len(block))
    except urllib.error.HTTPError as error:
        raise UserError(f"{address}: the server answers {error.code} ({error.reason})") from error
    except (HTTPException, TimeoutError, ConnectionError, urllib.error.URLError) as error:
        cause = getattr(error, "reason", None) or error
        raise UserError(f"{address}: cannot be fetched ({cause}): try again, it goes on where it stopped") from error
    return kept


def _target(path, folder, member):
    """Returns the path of a member of an archive below `folder`, or None for what is no image."""
    name = PurePosixPath(member.filename)
    if name.is_absolute() or ".." in name.parts:
        raise UserError(f"{path}: holds the name {member.filename}, which leads out of the folder: it is not unpacked")
    hidden = any(part.startswith((".", "__MACOSX")) for part in name.parts)
    return None if member.is_dir() or hidden or name.suffix.lower() != ".png" else Path(folder, *name.parts)
