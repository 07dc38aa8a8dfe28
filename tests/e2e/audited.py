"""Audit logs made line by line, and sealed by openssl(1): no code of ours wrote what ours reads."""
import base64
import datetime
import hashlib
import importlib.util
import json
import pathlib
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[2]
ORIGIN = "hsm-signer/by-hand"

_spec = importlib.util.spec_from_file_location("audit_check", TOP / "docs/audit_check.py")
check = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(check)


class Signer:
    """An audit key of openssl's."""

    def __init__(self, directory):
        self.private, self.public = str(directory / "key.pem"), str(directory / "audit.pub.pem")
        check.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", self.private)
        check.openssl("pkey", "-in", self.private, "-pubout", "-out", self.public)

    def note(self, size, root):
        text = f"{ORIGIN}\n{size}\n{base64.b64encode(root).decode()}\n".encode()
        with tempfile.NamedTemporaryFile() as file:
            file.write(text)
            file.flush()
            signature = check.openssl("dgst", "-sha256", "-sign", self.private, file.name)
        blob = base64.b64encode(check.key_id(self.public) + signature).decode()
        return text + f"\n\u2014 {ORIGIN} {blob}\n".encode()


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


class Lines:
    """Records of docs/audit.md's schema, one after another."""

    def __init__(self, begin):
        self.lines, self.now = [], begin
        self._nonce, self._macs = 0, 0

    def wait(self, seconds):
        self.now += datetime.timedelta(seconds=seconds)

    def add(self, kind, **members):
        time = self.now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        record = {"v": 1, "seq": len(self.lines) + 1, "time": time, "kind": kind, **members}
        self.lines.append(json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode())

    def _sign(self, verdict, client, key, endpoint, cls, fields, rule):
        return {"verdict": verdict, "uid": 1000, "gid": 1000, "pid": 4242, "client": client, "op": "sign_request",
                "key": key, "version": 1, "api_key_id": f"account-{digest(key)[:8]}", "endpoint": endpoint, "class": cls,
                "payload_sha256": digest(str(len(self.lines))), "fields": fields, "rule": rule, "reference": "",
                "latency_us": 600}

    def allow(self, client, key, endpoint, cls, fields, rule):
        self._nonce += 1
        self._macs += 1
        self.add("sign", **self._sign("allow", client, key, endpoint, cls, fields, rule), nonce=str(self._nonce),
                 worker="00f3a19c44d2be71", worker_counter=self._macs, signature_sha256=digest(f"s{self._macs}"),
                 durability="os")

    def refuse(self, client, key, endpoint, cls, rule, code, sentence):
        self.add("sign", **self._sign("refuse", client, key, endpoint, cls, {}, rule), code=code, sentence=sentence)

    def key(self, action, key, version=1):
        self.add("key", action=action, uid=0, gid=0, pid=99, key=key, version=version,
                 api_key_id=f"account-{digest(key)[:8]}", token="desk", cka_id=16 + version)

    def admin(self, action, subject, reason="", statement="", officers="", text_sha256="", detail=""):
        self.add("admin", action=action, uid=0, gid=0, pid=99, subject=subject, reason=reason, statement=statement,
                 officers=officers, text_sha256=text_sha256, detail=detail)

    def start(self, policy="policy"):
        self.add("start", instance="5f0c2b9e", software="0.1.0", binary_sha256=digest("binary"), config_sha256=digest("config"),
                 policy_sha256=digest(policy), cut_bytes=0)

    def stop(self, reason):
        self.add("stop", instance="5f0c2b9e", reason=reason)

    def write(self, directory, signer, sealed=None):
        """As one segment, with a checkpoint over the first `sealed` records (all)."""
        directory.mkdir()
        sealed = len(self.lines) if sealed is None else sealed
        (directory / "audit-000001.jsonl").write_bytes(b"".join(line + b"\n" for line in self.lines))
        root = check.root([check.leaf_of(line) for line in self.lines[:sealed]])
        (directory / "checkpoints").write_bytes(signer.note(sealed, root) + b"\n")
