"""Numbers, texts, keys and pieces of YAML that break what does not expect them."""

from __future__ import annotations

NUMBERS = (-1, 0, 1, 2, 3, 40, 255, 4097, 10**6, 10**9, 2**31, 2**32, 2**63 - 1, 2**63, 2**70, 10**400)
FLOATS = (0.0, -0.0, 0.5, 1.0, -2.5, 1e-320, 1e-9, 1e12, 1e308, float("inf"), float("-inf"), float("nan"))
TEXTS = (
    *("", " ", "all", "yes", "on", "null", "true", "0", "010", "1:30", "0x10", "1_000", "2020-01-01", "<<", "=", "~"),
    *("..", "../x", "a/b", "/etc", "a-b", "a_b", "a__b", "A", "x" * 63, "x" * 64, "x" * 300, "é", "a b", "a\nb", "\0"),
    *("\ud7ff", "\u202e", "\U0001f600", "$gap", "$", "*", "**", "a**", ".", "[", "[z-a]", "V*", "{dataset.__class__}"),
    *("{seed[0]}", "{seed:>1000000000}", "{}", "{0}", "{", "{{x}}", "{dataset}_{group}_{seed}", "Resize(9**9**9)"),
    *("(" * 300, "-" * 5000 + "1", "Normalize(mean=[0.5], std=[0])", "Resize(1e999)", "f(**{'a': 1})", "f({[]: 1})"),
    *("trained-epoch=1", "trained-epoch=" + "9" * 400, "cuda:1", "cuda:" + "9" * 30, "auto", "os:system", "a:b"),
    *("dynvision.models:RCNN", "torch.nn:Linear", "gaussian", "next", "program", "unit", "late", "contrast", "stim"),
)
KEYS = (
    *TEXTS,
    *(0, 1, 16, -1, 1.5, 1e3, None, True, False, 2**70, float("nan")),
    *(
        "class_path",
        "gap",
        "dt",
        "n_timesteps",
        "noise_seed",
        "void_value",
        "repetitions",
        "program",
        "units",
        "record",
    ),
)
TOKENS = (
    *(
        "010",
        "-007",
        ".inf",
        ".nan",
        "1e999",
        "9" * 5000,
        "yes",
        "1:30",
        "0o17",
        "0x1F",
        "*a",
        "&a",
        "&a [*a]",
        "? [a]: 1",
    ),
    *(
        "!!python/object:os.system 1",
        "!foo",
        "!!str 010",
        "<<: *a",
        "<<: {a: 1}",
        "---",
        "...",
        "%YAML 1.1",
        "\t",
        "|",
        ">",
    ),
    *(
        "[" * 100,
        "{a: " * 100,
        "- " * 100,
        "'",
        '"',
        '"\\ud800"',
        '"\\0"',
        "#",
        ": ",
        "- ",
        "\x00",
        "\x07",
        "\ufeff",
        "\x85",
    ),
    *("\u2028", "\r\n", "\r", "@", "`", "?", ",", "]", "}", "x: &x {x: 1}\ny: {<<: [*x, *x]}\n"),
)
