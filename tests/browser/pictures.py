"""The pictures of docs/dashboard.md, made anew: `python -m tests.browser.pictures`. It tests nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.browser.chromium import chromium
from tests.browser.visit import Visit
from tests.e2e.conftest import staged
from tests.e2e.stage import service_yaml

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.e2e.stage import Stage

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
WIDE: dict[str, Any] = {"viewport": {"width": 1100, "height": 640}}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 760}, "has_touch": True, "is_mobile": True}

REQUESTS = r"""n=0
while [ $n -lt 16 ]; do n=$((n+1))
  printf '\033[2m%s\033[0m \033[32mINFO\033[0m  \033[1mGET /items/%s\033[0m ' "$(date +%T)" $n
  printf '200 in \033[33m%s ms\033[0m\n' $((n*37%90))
done
printf '\033[31mERROR\033[0m cache at 127.0.0.1:6379 does not answer; going on without it\n'
exec sleep 600"""
MORE = (
    service_yaml(
        "api",
        REQUESTS,
        ready="echo 'connection to 127.0.0.1:8080 refused'; exit 1",
        more="readinessTimeout: 5m",
    ),
    service_yaml("mailer", "echo 'no SMTP_HOST given' >&2; exit 3"),
    service_yaml("docs", "exec sleep 600"),
)


def main() -> None:
    """All three."""
    IMAGES.mkdir(exist_ok=True)
    with staged() as stage, chromium() as browser:
        _prepare(stage)
        _take(browser, stage, "dashboard-light.png", "#/service/api/logs", {**WIDE, "color_scheme": "light"})
        _take(browser, stage, "dashboard-dark.png", "#/task/seed/runs", {**WIDE, "color_scheme": "dark"})
        _take(browser, stage, "dashboard-phone.png", "#/service/api/why", {**PHONE, "color_scheme": "light"})


def _prepare(stage: Stage) -> None:
    shutil.copytree(ROOT / "examples", stage.workspace, dirs_exist_ok=True)
    example = (ROOT / "examples" / "automations.yaml").read_text(encoding="utf-8")
    stage.start("--listen", "tcp:127.0.0.1:0")
    stage.apply(example.replace("services:\n", "services:\n" + "".join(MORE), 1))
    stage.ok("trigger", "postEnvironmentStart")
    stage.ok("trigger", "postDevcontainerStart", "--wait", timeout=120)
    for reference in ("api", "mailer"):
        stage.ok("service", "start", reference)
    stage.await_phase("mailer", "FAILED")


def _take(browser: Browser, stage: Stage, name: str, place: str, options: dict[str, Any]) -> None:
    context = browser.new_context(**options)
    visit = Visit.of(context, stage)
    visit.sign_in(place)
    visit.page.wait_for_timeout(3000)
    visit.page.screenshot(path=IMAGES / name)
    context.close()
    print(f"{name}: {(IMAGES / name).stat().st_size // 1024} KiB, complaints: {visit.complaints}")


if __name__ == "__main__":
    main()
