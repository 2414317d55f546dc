"""Model files as somebody would make them who wants to get into a hospital: each function spoils a good one."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LOCAL, CENTRAL, END = 30, 46, 22
GRAPH = "members/m0.onnx"


def rehash(folder: Path, change: Callable[[dict[str, Any]], Any] | None = None) -> None:
    """Change model.json and make all hashes agree, as an attacker would."""
    value = json.loads((folder / "model.json").read_text())
    for name, listed in value["files"].items():
        if (folder / name).is_file() and not (folder / name).is_symlink():
            data = (folder / name).read_bytes()
            listed |= {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    if change is not None:
        change(value)
    put_manifest(folder, json.dumps(value).encode())


def put_manifest(folder: Path, data: bytes) -> None:
    (folder / "model.json").write_bytes(data)
    (folder / "model.sha256").write_text(hashlib.sha256(data).hexdigest() + "  model.json\n")


def put(folder: Path, name: str, data: bytes) -> None:
    (folder / name).write_bytes(data)
    rehash(folder)


def graph_with(folder: Path, change: Callable[[Any], Any], name: str = GRAPH) -> None:
    """Change one network of a folder and all hashes."""
    model = onnx.load_from_string((folder / name).read_bytes())
    change(model)
    put(folder, name, model.SerializeToString())


def files_of(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def zipped(
    files: list[tuple[str, bytes]],
    method: int = zipfile.ZIP_STORED,
    date: tuple[int, int, int, int, int, int] = (1980, 1, 1, 0, 0, 0),
    **entry: Any,
) -> bytes:
    """Write a zip with Python's own writer; `entry` sets attributes of every file's record."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in files:
            info = zipfile.ZipInfo(name, date)
            info.external_attr, info.create_system = (stat.S_IFREG | 0o644) << 16, 3
            info.compress_type = method
            for key, value in entry.items():
                setattr(info, key, value)
            archive.writestr(info, data)
    return made.getvalue()


def ordered(files: dict[str, bytes]) -> list[tuple[str, bytes]]:
    return sorted(files.items(), key=lambda item: (not item[0].startswith("model."), item[0]))


def renamed(good: bytes, old: str, new: str) -> bytes:
    """Write another name of the same length over one, in both places where it stands."""
    assert len(old) == len(new)
    return good.replace(old.encode(), new.encode("latin-1"))


def records(data: bytes) -> list[int]:
    """Return where each record of a zip's directory begins."""
    count, _, at = struct.unpack_from("<HLL", data, len(data) - END + 10)
    found = []
    for _ in range(count):
        found.append(at)
        at += CENTRAL + sum(struct.unpack_from("<3H", data, at + 28))
    return found


def patched(data: bytes, at: int, form: str, *values: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(form, changed, at, *values)
    return bytes(changed)


def in_directory(good: bytes, offset: int, form: str, *values: int, number: int = 2) -> bytes:
    """Write over a field of one file's record."""
    return patched(good, records(good)[number] + offset, form, *values)


def in_end(good: bytes, offset: int, form: str, *values: int) -> bytes:
    return patched(good, len(good) - END + offset, form, *values)


def local_of(good: bytes, number: int = 2) -> int:
    (start,) = struct.unpack_from("<L", good, records(good)[number] + 42)
    return int(start)


def more(files: dict[str, bytes], **extra: bytes) -> list[tuple[str, bytes]]:
    return ordered(files | extra)


ARCHIVES: dict[str, tuple[Callable[[bytes, dict[str, bytes]], bytes], str]] = {
    "an empty file": (lambda g, f: b"", "neither"),
    "a pickle": (lambda g, f: b"\x80\x04cposix\nsystem\n", "neither"),
    "a gzip": (lambda g, f: b"\x1f\x8b\x08" + b"\0" * 50, "neither"),
    "half of it": (lambda g, f: g[: len(g) // 2], "cut short, was never written to its end"),
    "without its last byte": (lambda g, f: g[:-1], "cut short"),
    "without its directory": (lambda g, f: g[: records(g)[0]], "cut short"),
    "no end but a directory": (lambda g, f: g[:-END], "cut short"),
    "data behind its end": (lambda g, f: g + b"x", "data behind its end"),
    "a comment": (lambda g, f: patched(g, len(g) - 2, "<H", 4) + b"boom", "a comment or data behind its end"),
    "a comment that is not there": (lambda g, f: in_end(g, 20, "<H", 9), "has a comment"),
    "data before the first file": (lambda g, f: b"PK\x03\x04" + g, "does not end where the file ends"),
    "a program in front": (lambda g, f: b"#!/bin/sh\n" + g, "neither"),
    "data between files": (lambda g, f: gap(g), "overlaps another file, or data stands before it"),
    "data before the directory": (
        lambda g, f: in_end(g[: records(g)[0]] + b"xx" + g[records(g)[0] :], 16, "<L", records(g)[0] + 2),
        "data that belongs to no file",
    ),
    "overlapping files": (lambda g, f: in_directory(g, 42, "<L", local_of(g, 1)), "overlaps another file"),
    "the same bytes for two names": (lambda g, f: in_directory(g, 42, "<L", 0), "overlaps another file"),
    "a size beyond the end": (lambda g, f: in_directory(g, 20, "<LL", 1 << 30, 1 << 30), "contradict each other"),
    "a size of 4 GiB": (lambda g, f: in_directory(g, 20, "<LL", (1 << 32) - 1, (1 << 32) - 1), "contradict"),
    "a size that only the directory knows": (
        lambda g, f: in_directory(g, 20, "<LL", 1, 1),
        "contradict each other",
    ),
    "another name in the file than in the directory": (
        lambda g, f: patched(g, local_of(g) + LOCAL, "<B", ord("X")),
        "contradict each other",
    ),
    "another size in the file than in the directory": (
        lambda g, f: patched(g, local_of(g) + 18, "<LL", 5, 5),
        "contradict each other",
    ),
    "zip64": (lambda g, f: in_end(g, 10, "<H", 0xFFFF), "zip64"),
    "zip64 by offset": (lambda g, f: in_end(g, 16, "<L", 0xFFFFFFFF), "zip64"),
    "several disks": (lambda g, f: in_end(g, 4, "<H", 1), "several disks"),
    "more files than there are": (lambda g, f: in_end(g, 8, "<HH", 900, 900), "its directory is cut short"),
    "fewer files than there are": (lambda g, f: in_end(g, 8, "<HH", 2, 2), "belongs to no file"),
    "no files": (lambda g, f: in_end(g, 8, "<HH", 0, 0), "states 0 files"),
    "a huge directory": (lambda g, f: in_end(g, 12, "<L", 1 << 31), "a directory of 2147483648 bytes"),
    "a directory elsewhere": (lambda g, f: in_end(g, 16, "<L", 4), "does not end where the file ends"),
    "too many files": (
        lambda g, f: zipped(ordered(f | {f"x{n:04d}": b"" for n in range(1100)})),
        r"states 1106 files",
    ),
    "compressed": (lambda g, f: zipped(ordered(f), zipfile.ZIP_DEFLATED), "is compressed"),
    "a bomb": (lambda g, f: zipped(more(f, bomb=b"\0" * (32 << 20)), zipfile.ZIP_DEFLATED), "is compressed"),
    "stored, with another size unpacked": (lambda g, f: in_directory(g, 24, "<L", 1 << 31), "lies about its size"),
    "encrypted": (lambda g, f: in_directory(g, 8, "<H", 1), "is encrypted"),
    "an encrypted directory": (lambda g, f: in_directory(g, 8, "<H", 0x2000), "is encrypted"),
    "sizes behind the data": (lambda g, f: in_directory(g, 8, "<H", 8), "not written as"),
    "a link": (lambda g, f: in_directory(g, 38, "<L", (stat.S_IFLNK | 0o777) << 16), "is a link"),
    "a pipe": (lambda g, f: in_directory(g, 38, "<L", (stat.S_IFIFO | 0o644) << 16), "is not a regular file"),
    "a device": (lambda g, f: in_directory(g, 38, "<L", (stat.S_IFBLK | 0o644) << 16), "is not a regular file"),
    "a program": (lambda g, f: in_directory(g, 38, "<L", (stat.S_IFREG | 0o4755) << 16), "not written as"),
    "a folder": (lambda g, f: zipped([("members/", b""), *ordered(f)]), "'members/' is no plain name"),
    "extra fields": (lambda g, f: zipped(ordered(f), extra=b"\x01\x00\x08\x00" + b"\0" * 8), "has extra fields"),
    "a comment of a file": (lambda g, f: zipped(ordered(f), comment=b"x"), "has extra fields or a comment"),
    "another date": (lambda g, f: zipped(ordered(f), date=(2026, 1, 1, 0, 0, 0)), "not written as"),
    "another order": (lambda g, f: zipped(sorted(f.items())), "not in the order"),
    "a name twice": (lambda g, f: zipped([*ordered(f), ordered(f)[-1]]), "is in it twice"),
    "a name in capitals too": (lambda g, f: zipped(more(f, **{"MEMBERS/m0.onnx": b"x"})), "upper and lower case"),
    "a file that is a folder of another": (
        lambda g, f: zipped(more(f, **{"CARD.md/x": b"x"})),
        "one of its files is a folder of another",
    ),
    "a parent path": (lambda g, f: renamed(g, GRAPH, "../../../../evil"[:15]), "no plain name inside a folder"),
    "a parent path inside": (lambda g, f: renamed(g, GRAPH, "members/../evil"), "no plain name"),
    "an absolute path": (lambda g, f: renamed(g, GRAPH, "/etc/cron.d/evl"), "no plain name"),
    "a drive": (lambda g, f: renamed(g, GRAPH, "C:/windows/evil"), "no plain name"),
    "backslashes": (lambda g, f: renamed(g, GRAPH, "members\\m0.onnx"), "no plain name"),
    "a share": (lambda g, f: renamed(g, GRAPH, "//server/m.onnx"), "no plain name"),
    "a zero in a name": (lambda g, f: renamed(g, GRAPH, "members/m0\0onnx"), "no plain name"),
    "a name that is no ASCII": (lambda g, f: renamed(g, GRAPH, "members/m0\xe9onnx"), "no plain name"),
    "a name that steers a terminal": (lambda g, f: renamed(g, GRAPH, "members/\x1b]0;x\x07z"), "no plain name"),
    "a hidden name": (lambda g, f: renamed(g, GRAPH, ".ssh/authorized"), "no plain name"),
    "a name of a device": (lambda g, f: renamed(g, GRAPH, "members/con.ttt"), "no plain name"),
    "a name with a dot at its end": (lambda g, f: renamed(g, GRAPH, "members/m0.onn."), "no plain name"),
    "a file that is not listed": (lambda g, f: zipped(more(f, extra=b"x")), "'extra' is not listed"),
    "a packed model within": (lambda g, f: zipped(more(f, **{"x.semeion": g})), "'x.semeion' is not listed"),
    "a file is missing": (
        lambda g, f: zipped(ordered({name: data for name, data in f.items() if name != GRAPH})),
        "a file of the model is missing",
    ),
    "no manifest": (
        lambda g, f: zipped(ordered({name: data for name, data in f.items() if name != "model.json"})),
        "it holds no model.json",
    ),
    "no hash": (
        lambda g, f: zipped(ordered({name: data for name, data in f.items() if name != "model.sha256"})),
        "it holds no model.sha256",
    ),
    "a manifest without end": (lambda g, f: zipped(ordered(f | {"model.json": b" " * (5 << 20)})), "larger than 4 MiB"),
    "a changed file": (lambda g, f: zipped(ordered(f | {"CARD.md": b"# CARD\n"})), "sha256 is"),
    "a changed byte": (lambda g, f: g.replace(b"# card\n", b"# CARD\n"), "its checksum is another"),
    "a changed checksum": (
        lambda g, f: patched(in_directory(g, 16, "<L", 7), local_of(g) + 14, "<L", 7),
        "its checksum is another",
    ),
    "a large signature": (lambda g, f: zipped(more(f, **{"model.sig": b"x" * 5000})), "not a signature"),
}
"""What an archive may be: how a good one and its files become it, and what the refusal says."""


def gap(good: bytes) -> bytes:
    """Return an archive with two bytes before its last file that belong to no file."""
    at = records(good)
    start = local_of(good, len(at) - 1)
    changed = good[:start] + b"xx" + good[start:]
    changed = in_end(changed, 16, "<L", at[0] + 2)
    return in_directory(changed, 42, "<L", start + 2, number=len(at) - 1)


def link(folder: Path, name: str) -> None:
    outside = folder.parent / "outside"
    (folder / name).rename(outside)
    (folder / name).symlink_to(outside)


def pipe(folder: Path) -> None:
    (folder / "CARD.md").unlink()
    os.mkfifo(folder / "CARD.md")


def operator(name: str, domain: str = "", **attributes: Any) -> Callable[[Path], None]:
    def change(model: Any) -> None:
        model.graph.node.append(helper.make_node(name, ["x"], ["unused"], domain=domain, **attributes))
        if domain:
            model.opset_import.append(helper.make_opsetid(domain, 1))

    return lambda folder: graph_with(folder, change)


def functions(calls: dict[str, list[str]]) -> Callable[[Path], None]:
    def change(model: Any) -> None:
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
        for name, called in calls.items():
            nodes = [helper.make_node(one, ["a"], [f"b{n}"], domain="own") for n, one in enumerate(called)]
            nodes = nodes or [helper.make_node("Identity", ["a"], ["b0"])]
            model.functions.append(helper.make_function("own", name, ["a"], ["b0"], nodes, opsets))
        model.opset_import.append(helper.make_opsetid("own", 1))
        model.graph.node.append(helper.make_node(next(iter(calls)), ["x"], ["unused"], domain="own"))

    return lambda folder: graph_with(folder, change)


def named_alike(name: str, domain: str) -> Callable[[Path], None]:
    """Define a harmless function with the name of an operator of the engine, which runs its own."""

    def change(model: Any) -> None:
        opsets = [helper.make_opsetid("", 18)]
        node = helper.make_node("Identity", ["a"], ["b"])
        model.functions.append(helper.make_function(domain, name, ["a"], ["b"], [node], opsets))
        model.graph.node.append(helper.make_node(name, ["x"], ["unused"], domain=domain))
        if domain:
            model.opset_import.append(helper.make_opsetid(domain, 1))

    return lambda folder: graph_with(folder, change)


def tensor(folder: Path, **fields: Any) -> None:
    def change(model: Any) -> None:
        weights = model.graph.initializer[0]
        if "dims" in fields:
            weights.dims[:] = fields["dims"]
        if "external" in fields:
            weights.ClearField("raw_data")
            weights.data_location = TensorProto.EXTERNAL
            weights.external_data.add(key="location", value=fields["external"])

    graph_with(folder, change)


def sparse(folder: Path) -> None:
    def change(model: Any) -> None:
        values = helper.make_tensor("s", TensorProto.FLOAT, [1], [1.0])
        index = helper.make_tensor("i", TensorProto.INT64, [1], [5])
        model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, index, [1 << 20, 1 << 20]))

    graph_with(folder, change)


def swells(folder: Path) -> None:
    """Ask for 4 TiB while the graph runs."""

    def change(model: Any) -> None:
        names = ["sides", "large", "zeros", "none", "x2"]
        added = [
            helper.make_node("Shape", ["x"], [names[0]]),
            helper.make_node("Mul", [names[0], "many"], [names[1]]),
            helper.make_node("ConstantOfShape", [names[1]], [names[2]]),
            helper.make_node("ReduceSum", [names[2]], [names[3]]),
            helper.make_node("Add", ["x", names[3]], [names[4]]),
        ]
        cast, *rest = list(model.graph.node)
        rest[0].input[0] = names[4]
        del model.graph.node[:]
        model.graph.node.extend([cast, *added, *rest])
        model.graph.initializer.append(numpy_helper.from_array(np.array([1, 1, 1 << 17, 1 << 17]), "many"))

    graph_with(folder, change)


def deep(folder: Path) -> None:
    def change(model: Any) -> None:
        inner = helper.make_graph([], "inner", [], [])
        for _ in range(20):
            inner = helper.make_graph([helper.make_node("If", ["q"], ["c"], then_branch=inner)], "g", [], [])
        model.graph.node.append(helper.make_node("If", ["q"], ["c"], then_branch=inner))

    graph_with(folder, change)


def manifest(text: bytes) -> Callable[[Path], None]:
    return lambda folder: put_manifest(folder, text)


def changed(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    return lambda folder: rehash(folder, change)


def move(value: dict[str, Any], name: str) -> None:
    value["files"][name] = value["files"].pop(GRAPH)
    value["members"][0]["file"] = name


FOLDERS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a link to a file": (lambda f: link(f, GRAPH), "is a link"),
    "a link to a folder": (lambda f: link(f, "members"), "is a link"),
    "a link for the manifest": (lambda f: link(f, "model.json"), "is a link"),
    "a link for the signature": (lambda f: (f / "model.sig").symlink_to(f / "CARD.md"), "is a link"),
    "a pipe": (pipe, "not a regular file"),
    "a folder for a file": (lambda f: ((f / "CARD.md").unlink(), (f / "CARD.md").mkdir()), "CARD.md"),
    "a file that is not listed": (lambda f: (f / "members" / "x.pkl").write_bytes(b"x"), "is not listed"),
    "a file that is missing": (lambda f: (f / GRAPH).unlink(), "is missing"),
    "a file of another size": (lambda f: (f / GRAPH).write_bytes(b"x"), "it has 1 bytes"),
    "another hash": (lambda f: (f / "model.sha256").write_text("0" * 64), "was changed or damaged"),
    "no JSON": (manifest(b"\x80\x04K\x01."), "not valid JSON"),
    "a key twice": (manifest(b'{"schema": 1, "schema": 1}'), "a key occurs twice"),
    "NaN": (manifest(b'{"schema": NaN}'), "NaN is not a number"),
    "infinity": (manifest(b'{"schema": 1, "x": 1e999}'), "a number is too large"),
    "a number of many digits": (manifest(b'{"schema": ' + b"9" * 10_000 + b"}"), "not valid JSON"),
    "deep lists": (manifest(b"[" * 100_000), "nested too deeply"),
    "deep objects": (manifest(b'{"schema":' * 40 + b"1" + b"}" * 40), "nested too deeply"),
    "a large manifest": (manifest(b" " * (5 << 20)), "larger than 4 MiB"),
    "a newer schema": (changed(lambda v: v.update(schema=99, semeion="9.0")), "schema 99, written by Semeion 9.0"),
    "an unknown key": (changed(lambda v: v.update(run="import os")), "run: Extra inputs"),
    "a path to a parent": (changed(lambda v: move(v, "../m0.onnx")), "could lead out"),
    "an absolute path": (changed(lambda v: move(v, "/m0.onnx")), "could lead out"),
    "a device": (changed(lambda v: move(v, "members/nul.onnx")), "could lead out"),
    "two names that differ in case": (
        changed(lambda v: v["files"].update({"card.md": v["files"]["CARD.md"]})),
        "same name",
    ),
    "a file that is a folder of another": (
        changed(lambda v: v["files"].update({"CARD.md/x": v["files"]["CARD.md"]})),
        "a folder of another",
    ),
    "the signature listed": (changed(lambda v: v["files"].update({"model.sig": v["files"]["CARD.md"]})), "must not be"),
    "a file of 1 TiB": (changed(lambda v: v["files"]["CARD.md"].update(size=1 << 40)), "files.CARD.md.size"),
    "an input of 10^10 pixels": (
        changed(lambda v: v["preparation"].update(size=[100_000, 100_000])),
        "outside 8 to 1024",
    ),
    "weights in another file": (lambda f: tensor(f, external="../../etc/passwd"), "kept in another file"),
    "a tensor that lies": (lambda f: tensor(f, dims=[1 << 20, 1 << 20]), "declares more values than it holds"),
    "a tensor of negative sides": (lambda f: tensor(f, dims=[-1, 2]), "declares more values than it holds"),
    "a sparse tensor that swells": (sparse, "a sparse tensor would fill the memory"),
    "a graph that is a pickle": (lambda f: put(f, GRAPH, b"\x80\x04cposix\nsystem\n."), "not an ONNX graph"),
    "a graph that is empty": (lambda f: put(f, GRAPH, b""), "not an ONNX graph"),
    "a graph cut short": (lambda f: put(f, GRAPH, (f / GRAPH).read_bytes()[:-30]), "graph"),
    "graphs in graphs": (deep, "nested too deeply"),
    "an operator of one's own": (operator("RunCommand", "org.evil"), "org.evil.RunCommand"),
    "an operator nobody knows": (operator("RunCommand"), "no model may use: RunCommand"),
    "compiled code for a device": (operator("EPContext", "com.microsoft"), "com.microsoft.EPContext"),
    "a decoder of pictures": (operator("ImageDecoder"), "ImageDecoder"),
    "a loop": (operator("Loop"), "no model may use: Loop"),
    "chance": (operator("RandomNormalLike"), "RandomNormalLike"),
    "a pattern of text": (operator("RegexFullMatch"), "RegexFullMatch"),
    "training": (operator("Adam", "ai.onnx.preview.training"), "Adam"),
    "chance under the name of a function": (named_alike("RandomNormalLike", ""), "no model may use: RandomNormalLike"),
    "a function in the engine's own domain": (
        named_alike("EPContext", "com.microsoft"),
        "no model may use: com.microsoft.EPContext",
    ),
    "a function that calls itself": (functions({"F": ["G"], "G": ["F"]}), "calls itself"),
    "functions that grow": (
        functions({f"F{n}": [f"F{n + 1}"] * 10 for n in range(8)} | {"F8": []}),
        "more than 200000 operators",
    ),
    "another input": (
        lambda f: graph_with(f, lambda m: m.graph.input[0].type.tensor_type.shape.dim.pop()),
        "graph",
    ),
    "an input without bounds": (
        lambda f: graph_with(
            f, lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[2], "dim_value", 1 << 30)
        ),
        "graph",
    ),
    "memory without bounds": (swells, "fails when it runs"),
    "golden cases of NaN": (lambda f: put(f, "golden.json", b'{"answers": {"x": [NaN]}}'), "not golden cases"),
    "golden cases of many numbers": (
        lambda f: put(f, "golden.json", b'{"answers": {"x": [' + b"0," * 70_000 + b"0]}}"),
        "at most 65536",
    ),
    "golden cases that are deep": (lambda f: put(f, "golden.json", b"[" * 1000), "not golden cases"),
}
"""What a folder may be: what is done to a good one, and what the refusal says."""
