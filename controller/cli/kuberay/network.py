"""Services, Ingress and NetworkPolicies that KubeRay makes for a cluster, as objects of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from .owner import Owner
from .pod_labels import relabelled
from .source import Fields
from .written import Comment, Tree, add

INGRESS_CLASS = "kubernetes.io/ingress.class"
Port = Mapping[str, Any]


def head_selector(owner: Owner) -> dict[str, str]:
    """What the head pod, and only it, is labelled with."""
    return {"cluster.ray.io/component": f"{owner.name}-ray-head"}


def metadata(owner: Owner, name: str, **more: Any) -> dict[str, Any]:
    """The metadata of an object beside the RayCluster."""
    place = {"namespace": owner.namespace} if owner.namespace else {}
    return {"name": name, **place, **{key: value for key, value in more.items() if value}}


def read_services(owner: Owner, spec: Fields, head: Fields, ports: Sequence[Port]) -> list[Tree]:
    """A Service before the head where KubeRay's has a type, annotations or a shape of its own, and one for Serve."""
    annotations = spec.strings("headServiceAnnotations")
    kind, given = head.text("serviceType"), head.mapping("headService")
    made: list[Tree] = []
    if given.values or annotations or kind not in ("", "ClusterIP"):
        made.append(_head_service(owner, spec, head, given, ports))
    elif kind:
        head.raw("serviceType")
    if owner.metadata.strings("annotations").get("ray.io/enable-serve-service", "").lower() == "true":
        made.append(serve_service(owner, Fields("", {}, head.problems), kind, exclude_head=False))
    return made


def _head_service(owner: Owner, spec: Fields, head: Fields, given: Fields, ports: Sequence[Port]) -> Tree:
    tree: Tree = {}
    said = "this Service stands beside the operator's own, which is a ClusterIP without annotations."
    add(tree, *head.notes({"serviceType": said, "headService": said}), *spec.notes({"headServiceAnnotations": said}))
    named, content = given.mapping("metadata"), dict(given.raw("spec") or {})
    annotations = {**named.strings("annotations"), **spec.strings("headServiceAnnotations")}
    if named.text("name"):
        add(tree, Comment(f"KubeRay has a Service {named.text('name')} too: delete its RayCluster, then apply this."))
    add(tree, *given.unknown())
    own = content.pop("ports", None) or []
    taken = {port.get("name") for port in own if isinstance(port, Mapping)}
    numbers = {port.get("port") for port in own if isinstance(port, Mapping)}
    content.pop("selector", None)
    kind = content.pop("type", None) or head.text("serviceType")
    name = named.text("name") or f"{owner.name}-external"
    own += [port for port in ports if port["name"] not in taken and port["port"] not in numbers]
    return tree | {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(owner, name, labels=named.strings("labels"), annotations=annotations),
        "spec": {**({"type": kind} if kind else {}), **content, "selector": head_selector(owner), "ports": own},
    }


def serve_service(owner: Owner, given: Fields, kind: str, *, exclude_head: bool) -> Tree:
    """The Service of Serve's HTTP proxies. ``given``: the user's own Service, empty where there is none."""
    tree: Tree = {}
    named, content = given.mapping("metadata"), dict(given.raw("spec") or {})
    if exclude_head:
        selector = {"ray-cluster-name": owner.name, "ray-node-type": "worker"}
        said = "It selects the workers. One without a Serve proxy, which has no replica, refuses connections."
    else:
        selector = head_selector(owner)
        said = "It selects the head, whose proxy reaches every replica; a worker's readiness does not cover a proxy."
    add(tree, Comment(f"Requests to Serve. {said}"))
    name = named.text("name") or f"{owner.name}-serve"
    if named.text("name"):
        add(tree, Comment(f"KubeRay has a Service {name} too: delete its RayService before you apply this."))
    ports = content.pop("ports", None) or [{"name": "serve", "port": 8000, "targetPort": 8000}]
    content.pop("selector", None)
    kind = content.pop("type", None) or kind
    add(tree, *given.unknown())
    about = {"labels": named.strings("labels"), "annotations": named.strings("annotations")}
    return tree | {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(owner, name, **about),
        "spec": {**({"type": kind} if kind else {}), **content, "selector": selector, "ports": ports},
    }


def read_ingress(owner: Owner, head: Fields, ports: Sequence[Port]) -> list[Tree]:
    """The Ingress of the dashboard, if there is one."""
    options, enabled = head.mapping("ingressOptions"), head.truth("enableIngress")
    if not enabled:
        return []
    tree: Tree = {}
    add(tree, head.note("enableIngress", "the operator makes no Ingress; this one is yours."))
    annotations = owner.metadata.strings("annotations")
    kept = {k: v for k, v in annotations.items() if not k.startswith(("ray.io/", "kubectl.")) and k != INGRESS_CLASS}
    number = next(port["port"] for port in ports if port["name"] == "dashboard")
    backend = {"service": {"name": f"{owner.name}-ray-head", "port": {"number": number}}}
    path = {"path": options.text("path") or "/", "pathType": options.text("pathType") or "Prefix", "backend": backend}
    host = {"host": options.text("host")} if options.text("host") else {}
    content: dict[str, Any] = {"rules": [{**host, "http": {"paths": [path]}}]}
    if INGRESS_CLASS in annotations:
        content = {"ingressClassName": annotations[INGRESS_CLASS], **content}
    if options.raw("tls"):
        content["tls"] = options.raw("tls")
    add(tree, *options.unknown())
    return [
        tree
        | {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": metadata(owner, f"{owner.name}-ray-head", annotations=kept),
            "spec": content,
        }
    ]


def read_policies(owner: Owner, given: Fields, groups: Sequence[str], ports: Sequence[Port]) -> list[Tree]:
    """A NetworkPolicy for the head and one for each worker group, if the cluster has any."""
    if not given.values:
        return []
    mode = given.choice("mode", ("DenyAll", "DenyAllIngress", "DenyAllEgress")) or "DenyAll"
    everywhere = given.mapping("worker")
    own = {rules.text("groupName"): rules for rules in given.each("workerGroups")}
    head = _policy(owner, "head", head_selector(owner), mode=mode, rules=given.mapping("head"))
    if "ingress" in head["spec"]:
        add(
            head["spec"],
            Comment(
                "The rule with the component operator lets this operator reach the GCS. Without it nothing is scaled."
            ),
        )
        head["spec"]["ingress"] = [*head["spec"].pop("ingress"), *_reaching_the_head(owner, ports)]
    made = [head]
    for name in groups:
        selector = {"ray-cluster-name": owner.name, "ray-node-type": "worker", "ray-user-node-type": name}
        suffix = "worker-" + re.sub(r"[^-a-z0-9]+", "-", name.lower()).strip("-")
        made.append(_policy(owner, suffix, selector, mode=mode, rules=own.get(name, everywhere)))
    add(made[0], *given.notes({"mode": "the policies are objects of their own; they do not follow the RayCluster."}))
    add(made[0], *given.unknown())
    return made


def _reaching_the_head(owner: Owner, ports: Sequence[Port]) -> list[dict[str, Any]]:
    numbers = {port["name"]: port["port"] for port in ports}
    operator = {
        "namespaceSelector": {},
        "podSelector": {"matchLabels": {"cluster.ray.io/component": "operator"}},
    }
    rules = [{"from": [operator], "ports": [{"protocol": "TCP", "port": numbers["gcs-server"]}]}]
    for job in owner.jobs:
        peer = {"podSelector": {"matchLabels": {"job-name": job}}}
        rules.append({"from": [peer], "ports": [{"protocol": "TCP", "port": numbers["dashboard"]}]})
    return rules


def _policy(owner: Owner, name: str, selector: Mapping[str, str], *, mode: str, rules: Fields) -> Tree:
    inside = {"podSelector": {"matchLabels": {"ray-cluster-name": owner.name}}}
    kinds = {"DenyAll": ["Ingress", "Egress"], "DenyAllIngress": ["Ingress"], "DenyAllEgress": ["Egress"]}[mode]
    content: Tree = {"podSelector": {"matchLabels": dict(selector)}, "policyTypes": kinds}
    for kind, key, peers in (("Ingress", "ingressRules", "from"), ("Egress", "egressRules", "to")):
        if kind in kinds:
            content[kind.lower()] = [{peers: [inside]}, *relabelled(rules.raw(key) or [])]
        else:
            add(content, *rules.notes({key: f"not used, {mode} restricts no {kind.lower()}."}))
    rules.taken.add("groupName")
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(owner, f"{owner.name}-{name}"),
        "spec": content | dict.fromkeys(rules.unknown()),
    }
