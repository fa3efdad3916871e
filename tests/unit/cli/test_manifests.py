"""Manifest files as people have them."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import pytest

from controller.cli.manifests import ManifestError, Manifests, read_manifests
from controller.main import main

CLUSTER = "apiVersion: cluster.ray.io/v1\nkind: RayCluster\nmetadata: {name: NAME}\n"


def read(folder: Path, text: str | bytes) -> Manifests:
    path = folder / "file.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_manifests(str(path))


def names(manifests: Manifests) -> list[str]:
    return [c["metadata"]["name"] for c in manifests.clusters]


def test_every_document_and_every_item_of_a_list_is_read(tmp_path: Path) -> None:
    items = "".join(f"- {{apiVersion: cluster.ray.io/v1, kind: RayCluster, metadata: {{name: {n}}}}}\n" for n in "bc")
    found = read(tmp_path, f"---\n{CLUSTER.replace('NAME', 'a')}---\n---\nkind: List\napiVersion: v1\nitems:\n{items}")
    assert names(found) == ["a", "b", "c"]
    assert found.notes == []


def test_json_is_read_too(tmp_path: Path) -> None:
    assert names(read(tmp_path, '{"apiVersion":"cluster.ray.io/v1","kind":"RayCluster","metadata":{"name":"a"}}')) == [
        "a"
    ]


def test_other_objects_are_noted_not_read(tmp_path: Path) -> None:
    others = "---\nkind: Service\nmetadata: {name: s}\n---\nkind: RayCluster\napiVersion: ray.io/v1\n---\njust a text\n"
    found = read(tmp_path, CLUSTER.replace("NAME", "a") + others)
    assert names(found) == ["a"]
    foreign, text = found.notes
    assert found.skipped == [("Service", "s")]
    assert "ray.io/v1" in foreign and "ray-operator convert" in foreign
    assert "no kind" in text


def test_a_minus_sign_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(CLUSTER.encode())))
    assert read_manifests("-").source == "stdin"
    assert not read_manifests("-").clusters


def test_values_that_only_yaml_knows_stay_texts(tmp_path: Path) -> None:
    found = read(tmp_path, CLUSTER + "spec: {since: 2020-01-01, equal: =, 8: eight}\n")
    assert found.clusters[0]["spec"] == {"since": "2020-01-01", "equal": "=", "8": "eight"}


def test_text_of_other_programs_is_read(tmp_path: Path) -> None:
    """With the marks that editors on Windows put before it."""
    for encoding in ("utf-8-sig", "utf-16"):
        assert names(read(tmp_path, CLUSTER.replace("NAME", "ä").encode(encoding))) == ["ä"]


def test_a_list_is_said_to_be_one(tmp_path: Path) -> None:
    assert read(tmp_path, "- a\n- b\n").notes[0].startswith("skipped a list: a manifest is a mapping; write ---")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1, 2\nb: 3\n", "line 2, column 2"),
        ("a:\n\tb: 1\n", "line 2, column 1"),
        ("a: 1\na: 2\n", "line 2, column 1: the key 'a' is there twice"),
        ("a: *nobody\n", "line 1, column 4"),
        (b"\xff\xfe\x00", "is not YAML"),
        (b"a: \x00\n", "is not YAML: it is a binary file"),
        (b"\x7fELF\x02\x01\x01\x00\x00", "it is a binary file"),
        (b"a: 1\nb: \xe4\n", "line 2 has the byte 0xe4, which is not UTF-8; save the file as UTF-8"),
        ("a:\n  b: 1\n \tc: 1\n", "a tab; YAML is indented with spaces"),
        ("[" * 5000, "is not YAML"),
    ],
)
def test_what_is_not_yaml_is_located(tmp_path: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(ManifestError) as refused:
        read(tmp_path, text)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="cannot be read: No such file"):
        read_manifests(str(tmp_path / "nothing.yaml"))
    with pytest.raises(ManifestError, match="cannot be read: Is a directory"):
        read_manifests(str(tmp_path))


# More that a command needs.
DEMAND = {"simulate": ["demand.yaml"]}
HELM = "is a Helm template; render it first with helm template. It has "


@pytest.mark.parametrize("command", ["validate", "render", "simulate", "convert"])
@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("{{ .Values.image }}: x\n", "{{ .Values.image }}"),
        ("metadata:\n  name: {{ .Release.Name }}\n", "{{ .Release.Name }}"),
        ("metadata:\n  name: {{ .Release.Name }}-ray\n", "{{ .Release.Name }}"),
        ("{{- if .Values.on }}\na: 1\n{{- end }}\n", "{{- if .Values.on }}"),
        ("a:\n  {{- toYaml .Values.a | nindent 2 }}\n", "{{- toYaml .Values.a | nindent 2 }}"),
        (
            "a: 1\n{{- range $i, $group := .Values.groups }}\n- a\n{{- end }}",
            "{{- range $i, $group := .Values.groups }}",
        ),
        ("{{/* the name */}}\na: [\n", "{{/* the name */}}"),
        ('a: {{ include "ray.name" . }}\n', '{{ include "ray.name" . }}'),
        ('a: {{ "x" | quote }}\n', '{{ "x" | quote }}'),
        ("a: |\n  b\nc: {{ .d }}\n", "{{ .d }}"),
        ("# it's\na: it's {{ .d }} it's\nb: {{ .e }}\n", "{{ .d }}"),
        (f"a: {{{{ .{'a' * 99} }}}}\n", f"{{{{ .{'a' * 53}..."),
    ],
)
def test_a_helm_template_is_said_to_be_one(
    command: str, text: str, action: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "raycluster.yaml"
    path.write_text(text)
    assert main([command, str(path), *DEMAND.get(command, ())]) == 1
    out, err = capsys.readouterr()
    said = (out + err).splitlines()[0]
    assert said.startswith(f"{path}: {HELM}{action}")


@pytest.mark.parametrize(
    "text",
    [
        "a: '{{ .Values.a }}'\nb: [\n",
        'a: "{{ .Values.a }}"\nb: [\n',
        "# {{ .Values.a }}\nb: [\n",
        "a: |\n  {{ jinja }}\n\n  {{ jinja }}\nb: [\n",
        "a:\n  - >-\n    {{ jinja }}\nb: [\n",
        "b: ]\na: {{ .Values.a }}\n",
        "a: {b: {c: 1}}\nb: [\n",
        "a: {{b: 1}: 2}\nb: [\n",
    ],
)
def test_braces_do_not_make_a_helm_template(text: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as refused:
        read(tmp_path, text)
    assert str(refused.value).startswith("is not YAML: line ")


@pytest.mark.parametrize("command", ["validate", "render", "simulate", "convert"])
def test_an_empty_name_of_a_file_is_said_to_be_none(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "", *DEMAND.get(command, ())]) == 1
    out, err = capsys.readouterr()
    assert (out + err).splitlines()[0] == "'': is no name of a file; name one, or - for standard input"
