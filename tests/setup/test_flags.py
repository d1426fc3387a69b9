"""The command line."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from modules.setup.flag_table import FLAGS, Effect, Flag, Kind
from modules.setup.flags import Flags, Preload, parse_flags

ROOT = Path("/program").absolute()
PROGRAM = Path(__file__).parents[2]


def parse(*argv: str, args: str = "", preloads: tuple[Preload, ...] = ()) -> Flags:
    return parse_flags(argv, {"COMMANDLINE_ARGS": args}, ROOT, preloads=preloads)


VALUES = {
    Kind.SWITCH: ([], True),
    Kind.SWITCH_OFF: ([], False),
    Kind.TEXT: (["a:b"], "a:b"),
    Kind.NUMBER: (["7"], 7),
    Kind.PATH: (["/x/y"], str(Path("/x/y").absolute())),
    Kind.PATHS: (["/x/y"], str(Path("/x/y").absolute())),
    Kind.TEXTS: (["/x/y"], ["/x/y"]),
    Kind.WORDS: (["All", "vae"], ["all", "vae"]),
    Kind.JSON: (['{"a": 1}'], {"a": 1}),
}


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.name)
def test_every_flag_is_accepted_and_ignored_ones_are_told(flag: Flag, tmp_path: Path) -> None:
    words, expected = VALUES[flag.kind]
    if flag.choices:
        words, expected = [flag.choices[0]], flag.choices[0]
    if flag.name == "--gradio-auth-path":
        (tmp_path / "users").write_text("a:b\n")
        words, expected = [str(tmp_path / "users")], str(tmp_path / "users")
    flags = parse(flag.name, *words)
    assert flags.all[flag.dest] == expected
    told = [line for line in flags.warnings if line.startswith(f"{flag.name} has no effect")]
    assert bool(told) is (flag.effect is Effect.IGNORED)
    assert flag.help and flag.help[0] != " "


def test_table_has_the_126_flags_of_a1111_once_each() -> None:
    assert len({flag.dest for flag in FLAGS}) == len(FLAGS) == len(parse().all) == 126


def test_defaults_are_those_of_a1111() -> None:
    flags = parse()
    assert flags.warnings == ()
    assert (flags.host, flags.port, flags.precision) == ("127.0.0.1", 7860, "autocast")
    assert flags.all["sub_quad_q_chunk_size"] == 1024
    assert flags.all["gradio_queue"] is True
    assert flags.all["disable_tls_verify"] is None
    assert flags.all["ngrok_options"] == {}
    assert flags.all["port"] is None
    assert flags.all["lora_dir"] == str(ROOT / "models" / "Lora")
    assert (flags.ckpt, flags.vae_dir, flags.gradio_auth, flags.use_cpu) == (None, None, (), ())


def test_folders_follow_data_and_models() -> None:
    flags = parse("--data-dir", "/data")
    assert flags.models_dir == Path("/data/models").absolute()
    assert flags.lora_dir == Path("/data/models/Lora").absolute()
    assert flags.ui_settings_file == Path("/data/config.json").absolute()
    flags = parse("--data-dir", "/data", "--models-dir", "/m", "--lora-dir", "/l")
    assert flags.embeddings_dir == Path("/m/embeddings").absolute()
    assert flags.lora_dir == Path("/l").absolute()


def test_relative_paths_become_absolute() -> None:
    assert parse("--ckpt", "a.safetensors").ckpt == Path("a.safetensors").absolute()


def test_checkpoint_folders_add_up_and_extensions_see_one() -> None:
    flags = parse("--ckpt-dir", "/a", "--ckpt-dir", "/b")
    assert flags.ckpt_dirs == (Path("/a").absolute(), Path("/b").absolute())
    assert flags.all["ckpt_dir"] == str(Path("/a").absolute())


def test_variable_comes_first_and_argv_wins() -> None:
    flags = parse("--port", "9", args='--api --port 8 --ckpt "/my models/a.ckpt"')
    assert (flags.api, flags.port) == (True, 9)
    assert flags.ckpt == Path("/my models/a.ckpt").absolute()


def test_variable_with_a_hash_is_no_comment() -> None:
    assert parse(args="--theme a#b").theme == "a#b"


@pytest.mark.parametrize(
    ("argv", "host", "port"),
    [
        ([], "127.0.0.1", 7860),
        (["--nowebui"], "127.0.0.1", 7861),
        (["--listen"], "0.0.0.0", 7860),
        (["--listen", "--server-name", "10.0.0.1", "--port", "1"], "10.0.0.1", 1),
    ],
)
def test_address(argv: list[str], host: str, port: int) -> None:
    flags = parse(*argv)
    assert (flags.host, flags.port) == (host, port)


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ([], []),
        (["--listen"], ["page"]),
        (["--listen", "--api"], ["page", "API"]),
        (["--listen", "--nowebui"], ["API"]),
        (["--server-name", "0.0.0.0", "--gradio-auth", "a:b"], []),
        (["--listen", "--api", "--gradio-auth", "a:b", "--api-auth", "a:b"], []),
        (["--server-name", "localhost", "--api"], []),
    ],
)
def test_open_server_is_warned_about(argv: list[str], told: list[str]) -> None:
    warnings = parse(*argv).warnings
    assert len(warnings) == len(told)
    for line, what in zip(warnings, told, strict=True):
        assert f"may use the {what};" in line


def test_users_come_from_flag_and_file(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("carl:c:d\n\ndora:e, eve:f\n", encoding="utf-8")
    flags = parse("--gradio-auth", "ann:a, bob:b", "--gradio-auth-path", str(tmp_path / "users"))
    expected = (("ann", "a"), ("bob", "b"), ("carl", "c:d"), ("dora", "e"), ("eve", "f"))
    assert flags.gradio_auth == expected


def test_passwords_stay_out_of_repr_and_of_the_api() -> None:
    flags = parse("--gradio-auth", "ann:hunter2", "--api-auth", "bob:hunter3")
    assert "hunter" not in repr(flags)
    assert "hunter" not in repr(flags.without_secrets())
    assert flags.without_secrets()["api_auth"] == "***"
    assert parse().without_secrets()["api_auth"] is None


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--prot", "5"], "unknown flag --prot; did you mean --port?"),
        (["--no-halfvae=1"], "unknown flag --no-halfvae; did you mean --no-half-vae?"),
        (["--zzz"], "unknown flag --zzz; --help lists them"),
        (["--medv"], "did you mean --medvram?"),
        (["--port", "x"], "argument --port: invalid int value: 'x'"),
        (["--precision", "int8"], "argument --precision: invalid choice: 'int8'"),
        (["--gradio-auth", "ann"], "--gradio-auth: every entry must read name:password"),
        (["--gradio-auth-path", "/nowhere"], "--gradio-auth-path: "),
    ],
)
def test_wrong_flags_end_the_program_in_words(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(*argv)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_unknown_flags_pass_before_extensions_were_asked() -> None:
    flags = parse_flags(["--controlnet-dir", "/x", "--api"], {}, ROOT, strict=False)
    assert flags.api
    assert "controlnet_dir" not in flags.all


def test_extensions_add_their_own_flags() -> None:
    def preload(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--controlnet-dir", type=str, default=None)
        parser.add_argument("--no-cn", action="store_true")

    def clash(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--port", type=str)

    flags = parse("--controlnet-dir", "/x", preloads=(preload, clash))
    assert (flags.all["controlnet_dir"], flags.all["no_cn"]) == ("/x", False)
    assert flags.namespace().no_cn is False
    assert len(flags.warnings) == 1
    assert "conflicting option string: --port" in flags.warnings[0]


def test_help_works_on_a_bare_python(tmp_path: Path) -> None:
    """-S -I: no installed package can be seen."""
    script = (
        f"import sys; sys.path.insert(0, {str(PROGRAM)!r})\n"
        "from pathlib import Path\nfrom modules.setup.flags import parse_flags\n"
        "parse_flags(['--help'], {}, Path('.'))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert all(flag.name in done.stdout for flag in FLAGS)
