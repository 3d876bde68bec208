"""
Passports as W3C PROV, in PROV-JSON. Pure.

Entities are documents, what a stage said about something because of them, and the plan; activities are attempts; agents
are workers.
"""

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from oaflow.entities.said import Said
from oaflow.operations.passports import Attempt, Passport, Step

_KINDS = ("document", "said", "attempt", "worker", "plan")


def provenance(passports: Iterable[Passport]) -> dict[str, Any]:
    """
    Some passports as one PROV document.
    """
    made = _Document()
    for passport in passports:
        made.take(passport)
    return made.result


class _Document:
    """
    A growing PROV document. Its relations have no names, so they are numbered.
    """

    def __init__(self) -> None:
        prefixes = {"oaflow": "urn:oaflow:", **{kind: f"urn:oaflow:{kind}:" for kind in _KINDS}}
        self.result: dict[str, Any] = {"prefix": prefixes}
        self._known: set[tuple[str, ...]] = set()

    def take(self, passport: Passport) -> None:
        """
        Add what is known about a document.
        """
        run = passport.run
        plan = self._add("entity", "plan", [run.plan], {"prov:type": _type("prov:Plan"), "prov:label": run.pipeline})
        document = self._document(passport, passport.document, passport.name)
        if passport.finder is not None:
            facts = {"oaflow:run": run.id, "oaflow:stage": passport.finder.stage}
            found = self._add("activity", "attempt", [passport.finder.job, passport.finder.attempt], facts)
            self._relate("wasGeneratedBy", {"prov:entity": document, "prov:activity": found})
            if passport.finder.container is not None:
                self._derive(document, self._document(passport, *passport.finder.container))
        for id, name in passport.children:
            self._derive(self._document(passport, id, name), document)
        for one in passport.said:
            self._said(passport, one)
        ahead: list[tuple[Step, str | None]] = [(step, None) for step in passport.steps]
        while ahead:
            step, before = ahead.pop()
            for number, attempt in enumerate(step.attempts, 1):
                before = self._attempt(passport, step, attempt, number, document, plan, before)
            for one in step.wrote:
                said = self._said(passport, one)
                self._derive(said, document)
                if before is not None:
                    self._relate("wasGeneratedBy", {"prov:entity": said, "prov:activity": before})
            ahead += [(next, before) for next in step.next]

    def _attempt(
        self,
        passport: Passport,
        step: Step,
        attempt: Attempt,
        number: int,
        document: str,
        plan: str,
        before: str | None,
    ) -> str:
        facts = {
            "prov:startTime": attempt.started.isoformat() if attempt.started else None,
            "prov:endTime": attempt.ended.isoformat() if attempt.ended else None,
            "prov:label": f"{step.stage}, job {step.job}: {attempt.outcome}",
            "oaflow:run": passport.run.id,
            "oaflow:stage": step.stage,
            "oaflow:outcome": attempt.outcome,
            "oaflow:code": attempt.version,
            "oaflow:error": attempt.error and f"{attempt.error.get('type')}: {attempt.error.get('message')}",
        }
        activity = self._add("activity", "attempt", [step.job, number], facts)
        self._relate("used", {"prov:activity": activity, "prov:entity": document})
        if attempt.worker is not None:
            label = attempt.place or f"worker {attempt.worker}"
            kind = {"prov:type": _type("prov:SoftwareAgent"), "prov:label": label}
            worker = self._add("agent", "worker", [attempt.worker], kind)
            self._relate("wasAssociatedWith", {"prov:activity": activity, "prov:agent": worker, "prov:plan": plan})
        if before is not None:
            self._relate("wasInformedBy", {"prov:informed": activity, "prov:informant": before})
        return activity

    def _document(self, passport: Passport, id: str, name: str) -> str:
        facts = {"prov:label": name, "prov:type": _type("oaflow:Document")}
        return self._add("entity", "document", [passport.run.dataset, id], facts)

    def _said(self, passport: Passport, one: Said) -> str:
        facts = {"prov:label": one.caption, "oaflow:schema": one.schema, "oaflow:entity": one.entity}
        return self._add("entity", "said", [passport.run.dataset, one.entity, one.origin, one.fragment], facts)

    def _derive(self, made: str, of: str) -> None:
        self._relate("wasDerivedFrom", {"prov:generatedEntity": made, "prov:usedEntity": of})

    def _add(self, kind: str, prefix: str, parts: Iterable[object], facts: dict[str, Any]) -> str:
        # Stages choose ids freely: characters that a PROV name cannot contain are escaped.
        name = f"{prefix}:{'/'.join(quote(str(part), safe='') for part in parts)}"
        known = {key: value for key, value in facts.items() if value is not None}
        # The attempt that found a document also appears with the document that contained it, which has more details.
        whole = self.result.setdefault(kind, {}).setdefault(name, known)
        whole.update({key: value for key, value in known.items() if key not in whole})
        return name

    def _relate(self, kind: str, facts: dict[str, str]) -> None:
        if (key := (kind, *facts.values())) not in self._known:
            self._known.add(key)
            self.result.setdefault(kind, {})[f"_:r{len(self._known)}"] = facts


def _type(name: str) -> dict[str, str]:
    return {"$": name, "type": "prov:QUALIFIED_NAME"}
