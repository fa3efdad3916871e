"""The manifest of the page about Serve, on real nodes with real Ray. There is no controller for its Ingress here."""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping

from elastic import operated

from tests.support.kube import Kube, eventually
from tests.support.prerequisites import ROOT
from tests.support.real import forwarded

NAMESPACE, MANIFEST = "ray-serving", "manifests/serve_ingress.yaml"


def test_the_application_answers_at_the_port_that_the_ingress_leads_to(environment: Mapping[str, str]) -> None:
    page = (ROOT / "docs/serve.md").read_text()
    assert f"kubectl -n ray apply -f {MANIFEST}" in page
    kube = Kube(environment, NAMESPACE)
    with operated(environment, NAMESPACE):
        kube.run("apply", "-f", str(ROOT / MANIFEST))
        kube.run("wait", "--for=condition=complete", "--timeout=10m", "job/serve-deploy")
        rule = kube.get("ingress", "serving")["spec"]["rules"][0]
        service = rule["http"]["paths"][0]["backend"]["service"]
        ports = kube.get("service", service["name"])["spec"]["ports"]
        port = next(p["port"] for p in ports if p["name"] == service["port"]["name"])

        def answer() -> bytes:
            with forwarded(kube, service["name"], port) as local:
                request = urllib.request.Request(f"http://127.0.0.1:{local}/", headers={"Host": rule["host"]})
                try:
                    return bytes(urllib.request.urlopen(request, timeout=10).read())
                except OSError:
                    return b""

        eventually(lambda: answer() == b"hello")
