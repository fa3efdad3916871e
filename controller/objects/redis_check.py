"""The program with which a head's container looks at its Redis before Ray does, and says what is wrong with it.

Ray would try for a minute, and end with a stack trace. It runs in the user's image, by the Python of that image: it is
one file, uses the standard library alone, and lets Ray try whatever it does not understand.

    python -c PROGRAM <seconds to wait> <file for the message> <user> <Secret> <key>
"""

from __future__ import annotations

import os
import socket
import ssl
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

FIELD = "spec.headRecovery.redis"
REFUSED = 78
STEP_SECONDS = 5.0
# Ray keeps its tables under keys that begin so.
KEY = "RAY{}@ray-operator-check"


class WrongError(Exception):
    """Ray cannot use the server until somebody changes something."""


class DownError(Exception):
    """Ray cannot use the server now."""


class Asked:
    """Which server, and who asks.

    ``secret``, ``key``: where the password comes from, for people. ``variables``: those that Ray reads.

    Raises:
        ValueError: there is no such server in the variables.
    """

    def __init__(self, variables: Mapping[str, str], user: str = "", secret: str = "", key: str = "") -> None:
        # With several addresses, the first is the one that is written to.
        first = variables.get("RAY_REDIS_ADDRESS", "").split(",")[0]
        scheme, _, self.address = first.rpartition("://")
        host, _, port = self.address.rpartition(":")
        self.tls = scheme == "rediss"
        self.host, self.port = host.strip("[]"), int(port)
        self.variables, self.user, self.secret, self.key = variables, user, secret, key
        self.password = variables.get("REDIS_PASSWORD", "")
        self.namespace = variables.get("RAY_external_storage_namespace", "")


def _connect(asked: Asked) -> socket.socket:
    """A connection to the server.

    Raises:
        OSError, DownError, WrongError: there is none.
    """
    context = _context(asked.variables) if asked.tls else None
    field = f"{FIELD}.address"
    try:
        plain = socket.create_connection((asked.host, asked.port), timeout=STEP_SECONDS)
    except socket.gaierror as error:
        raise DownError(
            f"{field}: {asked.host} has no address ({error.strerror}); correct the name, or create the Service"
        ) from error
    except OSError as error:
        why = error.strerror or error
        raise DownError(
            f"{field}: {asked.address} cannot be reached ({why}); start the Redis, or correct the address"
        ) from error
    if context is None:
        return plain
    try:
        return context.wrap_socket(plain, server_hostname=asked.variables.get("RAY_REDIS_SERVER_NAME") or asked.host)
    except BaseException:
        plain.close()
        raise


def _context(variables: Mapping[str, str]) -> ssl.SSLContext:
    """Trusts whom Ray trusts, which does not compare the certificate's name."""
    context = ssl.create_default_context()
    context.check_hostname = False
    name = ""
    try:
        for name, argument in (("RAY_REDIS_CA_CERT", "cafile"), ("RAY_REDIS_CA_PATH", "capath")):
            if variables.get(name):
                context.load_verify_locations(**{argument: variables[name]})
        name = "RAY_REDIS_CLIENT_CERT"
        if variables.get(name):
            context.load_cert_chain(variables[name], variables.get("RAY_REDIS_CLIENT_KEY"))
    except OSError as error:
        why = error.strerror or error
        raise WrongError(
            f"{FIELD}.tls: the variable {name} of the head's container names {variables[name]}, which cannot be read "
            f"({why}); mount the file, or correct the variable"
        ) from error
    return context


def look(asked: Asked) -> None:
    """Do with the server what Ray does: log in, and write.

    Raises:
        WrongError, DownError: it does not work.
    """
    try:
        with _connect(asked) as connection:
            _log_in(asked, connection)
            key = KEY.format(asked.namespace)
            _judge(asked, _ask(connection, "HSET", key, "a", "b"))
            _ask(connection, "DEL", key)
    except ssl.SSLError as error:
        raise _tls_error(asked, error) from error
    except (OSError, EOFError) as error:
        raise DownError(f"{FIELD}.address: {asked.address} does not answer ({error}); {_hint(asked, error)}") from error


def _hint(asked: Asked, error: Exception) -> str:
    """What to do about a server that breaks off, or says nothing: so it is where one side alone speaks TLS."""
    if asked.tls and isinstance(error, socket.timeout):
        return f"if it does not speak TLS, set {FIELD}.tls to false"
    if not asked.tls and isinstance(error, (EOFError, ConnectionResetError)):
        return f"if it speaks TLS, set {FIELD}.tls to true"
    return "look at its log"


def _log_in(asked: Asked, connection: socket.socket) -> None:
    if not asked.password:
        return
    answer = _ask(connection, "AUTH", *([asked.user] if asked.user else []), asked.password)
    field, who = f"{FIELD}.passwordSecret", f" for the user {asked.user}" if asked.user else ""
    if answer.startswith("-WRONGPASS"):
        raise WrongError(
            f"{field}: {asked.address} refuses the password{who} that the key {asked.key} of the Secret {asked.secret} "
            "has; correct the Secret"
        )
    if answer.startswith("-ERR") and "without any password" in answer:
        raise WrongError(f"{field}: {asked.address} asks for no password; remove passwordSecret, or give it one")
    _judge(asked, answer)


def _judge(asked: Asked, answer: str) -> None:
    """Raise what an answer means. What is not known here is Ray's business."""
    code, _, _ = answer.partition(" ")
    if code == "-NOAUTH":
        raise WrongError(f"{FIELD}.passwordSecret: {asked.address} asks for a password; name the Secret that has it")
    if code == "-NOPERM":
        user = asked.user or "default"
        raise WrongError(
            f"{FIELD}.username: the user {user} of {asked.address} may not write what Ray writes ({answer[1:]}); allow "
            "it all commands on the keys RAY*"
        )
    if code == "-DENIED":
        raise WrongError(
            f"{FIELD}.address: {asked.address} serves its own machine alone (protected mode); give it a password"
        )
    if code == "-READONLY":
        raise DownError(f"{FIELD}.address: {asked.address} is a read-only replica; give the address of the primary")
    temporary = ("-OOM", "-MISCONF", "-LOADING", "-CLUSTERDOWN", "-MASTERDOWN", "-NOREPLICAS", "-BUSY", "-TRYAGAIN")
    if code in temporary or answer.startswith("-ERR max number of clients"):
        raise DownError(f"{FIELD}.address: {asked.address} takes no writes ({answer[1:]}); look at its log")


def _tls_error(asked: Asked, error: ssl.SSLError) -> Exception:
    reason = error.reason or str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return WrongError(
            f"{FIELD}.tls: the certificate of {asked.address} is not trusted ({error.verify_message}); name the file "
            "of its authority in the variable RAY_REDIS_CA_CERT of the head's container"
        )
    if "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason:
        return WrongError(
            f"{FIELD}.tls: {asked.address} asks for a client's certificate; name its files in the variables "
            "RAY_REDIS_CLIENT_CERT and RAY_REDIS_CLIENT_KEY of the head's container"
        )
    if "WRONG_VERSION_NUMBER" in reason or "RECORD_LAYER" in reason:
        return WrongError(f"{FIELD}.tls: {asked.address} does not speak TLS; set tls to false, or give its TLS port")
    return DownError(f"{FIELD}.tls: {asked.address} does not complete the TLS handshake ({reason}); look at its log")


def _ask(connection: socket.socket, *words: str) -> str:
    """The answer to a command whose answer is a line.

    Raises:
        OSError, EOFError: there is none.
    """
    parts = [f"*{len(words)}\r\n".encode()]
    parts += [b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words]
    connection.sendall(b"".join(parts))
    answer = b""
    while not answer.endswith(b"\r\n"):
        got = connection.recv(4096)
        if not got or len(answer) > 65536:
            raise EOFError("the connection was closed")
        answer += got
    return answer.decode(errors="replace").strip()


def wait(
    asked: Asked,
    seconds: float,
    say: Callable[[str], object],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> str:
    """What is wrong, after waiting for what may pass; empty when nothing is."""
    end, told = clock() + seconds, ""
    while True:
        try:
            look(asked)
        except WrongError as error:
            return str(error)
        except DownError as error:
            if clock() >= end:
                return f"{error} (tried for {seconds:g} s)"
            if str(error) != told:
                told = str(error)
                say(f"waiting for the Redis: {error}")
            sleep(1.0)
        else:
            return ""


def main(arguments: Sequence[str]) -> int:
    """The exit code: REFUSED when Ray need not try."""
    seconds, file, *who = arguments
    try:
        asked = Asked(os.environ, *who)
    except ValueError:
        return 0

    def say(text: str) -> None:
        sys.stderr.write(f"ray-operator: {text}\n")
        sys.stderr.flush()

    wrong = wait(asked, float(seconds), say)
    if not wrong:
        return 0
    say(wrong)
    # Without that file the log is all there is.
    with suppress(OSError):
        Path(file).write_text(f"ray-operator: {wrong}")
    return REFUSED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
