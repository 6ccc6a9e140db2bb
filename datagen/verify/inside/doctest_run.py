"""Runs tests that are text with examples at a prompt."""

# pyright: basic

import doctest


def run_examples(job: dict, proxy) -> tuple[str, str]:
    """State and reason; the first example that fails gives the reason."""
    names: dict = {}
    exec(compile(job["prelude"], "<prelude>", "exec", dont_inherit=True), names)
    names[job["entry_point"]] = proxy
    first: list[str] = []

    class Runner(doctest.DocTestRunner):
        def report_failure(self, out, test, example, got) -> None:
            told = (example.source, got, example.want)
            code, actual, expected = (" ".join(text.split())[:100] for text in told)
            first.append(f"{code} gave {actual}, not {expected}")

        def report_unexpected_exception(self, out, test, example, exc_info) -> None:
            if not isinstance(exc_info[1], Exception):
                raise exc_info[1]
            told = f"{exc_info[0].__name__}: {exc_info[1]}"[:200]
            first.append(f"{' '.join(example.source.split())[:100]} raised {told}")

    try:
        test = doctest.DocTestParser().get_doctest(job["tests"], names, "tests", None, 0)
    except ValueError as error:
        return "error", f"the tests do not parse: {error}"
    runner = Runner(verbose=False)
    runner.run(test, out=lambda text: None)
    if first:
        return "failed", first[0]
    if not any(example.want or example.exc_msg for example in test.examples):
        return "error", "the tests executed no check"
    return "passed", f"{len(test.examples)} examples"
