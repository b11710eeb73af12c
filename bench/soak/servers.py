"""Two servers on one PostgreSQL and one bucket: a server, PostgreSQL and the bucket fail in turn.

Six clients send each request to one server, and to the other one if that does not answer or answers
503, as a load balancer does. They repeat it at the other server with the same Idempotency-Key. All
must get the same bytes as the request alone.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import boto3
from botocore.config import Config

from bench import process
from bench.load import Answer, Asked, Target, run_phase
from bench.soak.client import DEFAULT_STEPS, STEPS_VARIABLE, ask_with_key, requests
from bench.soak.verdict import Verdict, spread

# The tests have a PostgreSQL server.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
import postgresql

NUM_CLIENTS, NUM_SERVERS = 6, 2
_BUCKET = "pictures"
_NUM_ANSWERS = 2 * NUM_CLIENTS  # before each failure, and after it
_RETRY_S, _OUTAGE_S = 0.1, 1.0
# Only detects a hang: the machine may be busy.
_PATIENCE_S = 240.0


def why_none() -> str | None:
    """Why the scenario cannot run here, or None."""
    return postgresql.why_none()


def measure(num_rounds: int) -> Verdict:
    with ExitStack() as stack:
        cluster = stack.enter_context(postgresql.started())
        bucket, variables = stack.enter_context(_bucket())
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        variables["DAGUERRE_DATABASE_URL"] = cluster.new_database()
        servers = [_Server(stack, home, variables) for _ in range(NUM_SERVERS)]
        alone = run_phase(servers[0].target, requests(), concurrency=1)
        soak = Soak(servers, {answer.asked: answer.digest for answer in alone.answers})
        asyncio.run(soak.run(num_rounds, cluster, bucket))
        return soak.verdict()


@contextmanager
def _bucket() -> Iterator[tuple[subprocess.Popen[bytes], dict[str, str]]]:
    """The process of an S3 server with a bucket, and the variables of servers that use it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    variables = {
        "AWS_ACCESS_KEY_ID": "someone",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": url,
        "AWS_ALLOW_HTTP": "true",
        "DAGUERRE_IMAGE_STORE": f"s3://{_BUCKET}",
        "DAGUERRE_SIGNED_URL_SECRET": secrets.token_hex(16),
    }
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    moto = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _create_bucket(url, variables)
        yield moto, variables
    finally:
        moto.kill()
        moto.wait()


def _create_bucket(url: str, variables: Mapping[str, str]) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=url,
        region_name=variables["AWS_REGION"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        # Until the server listens.
        config=Config(retries={"mode": "standard", "total_max_attempts": 20}),
    )
    client.create_bucket(Bucket=_BUCKET)


class _Server:
    """A server that is started again after it was killed."""

    def __init__(self, stack: ExitStack, home: Path, variables: Mapping[str, str]) -> None:
        self._stack, self._home = stack, home
        steps = os.environ.get(STEPS_VARIABLE, DEFAULT_STEPS)
        self._variables = {STEPS_VARIABLE: steps, **variables}
        self.start()

    def start(self) -> None:
        self._process = self._stack.enter_context(process.serving(self._home, self._variables))

    def kill(self) -> None:
        os.kill(self._process.pid, signal.SIGKILL)

    @property
    def target(self) -> Target:
        return self._process.target


class Soak:
    """Six clients, and failures one after the other."""

    def __init__(self, servers: list[_Server], expected: Mapping[Asked, str]) -> None:
        self._servers, self._expected = servers, expected
        self._asked = itertools.cycle(expected)
        self._numbers = itertools.count()
        self._is_over = False
        self._verdict = Verdict()
        self.num_retries: Counter[str] = Counter()
        self.answered_ms: list[float] = []

    async def run(
        self, num_rounds: int, cluster: postgresql.Cluster, bucket: subprocess.Popen[bytes]
    ) -> None:
        clients = asyncio.gather(*(self._client() for _ in range(NUM_CLIENTS)))
        for number in range(num_rounds):
            await self._answers()
            server = self._servers[number % NUM_SERVERS]
            server.kill()
            await asyncio.to_thread(server.start)
            await self._answers()
            await asyncio.to_thread(cluster.stop)
            await asyncio.sleep(_OUTAGE_S)
            await asyncio.to_thread(cluster.start)
        await self._answers()
        bucket.kill()
        await self._answers()
        self._is_over = True
        await clients

    async def _answers(self) -> None:
        """Waits for the next answers."""
        wanted = len(self.answered_ms) + _NUM_ANSWERS
        async with asyncio.timeout(_PATIENCE_S):
            while len(self.answered_ms) < wanted:
                await asyncio.sleep(_RETRY_S)

    async def _client(self) -> None:
        while not self._is_over:
            asked, number = next(self._asked), next(self._numbers)
            key, started_s = secrets.token_hex(8), time.perf_counter()
            first, second = [await self._ask(asked, key, number + i) for i in range(2)]
            self._verdict.expect(first.body == second.body, "a repeated key got another body")
            same = first.status == 200 and first.digest == self._expected[asked]
            self._verdict.expect(same, f"not the bytes as alone: {first.body[:200]!r}")
            self.answered_ms.append((time.perf_counter() - started_s) * 1000)

    async def _ask(self, asked: Asked, key: str, number: int) -> Answer:
        """Asks the servers in turn, from `number` on, until an answer is not 503."""
        async with asyncio.timeout(_PATIENCE_S):
            for server in itertools.islice(
                itertools.cycle(self._servers), number % NUM_SERVERS, None
            ):
                try:
                    answer = await ask_with_key(server.target, asked, key)
                except (OSError, asyncio.IncompleteReadError):
                    self.num_retries["no answer"] += 1
                else:
                    if answer.status != 503:
                        return answer
                    self._verdict.expect(bool(answer.retry_after_s), "a 503 without Retry-After")
                    self.num_retries["503"] += 1
                await asyncio.sleep(_RETRY_S)
        raise AssertionError("an endless loop has ended")

    def verdict(self) -> Verdict:
        retries = ", ".join(f"{count} for {reason}" for reason, count in self.num_retries.items())
        self._verdict.facts += [
            f"{len(self.answered_ms)} requests, each sent twice, all answered with an image",
            f"retries: {retries or 'none'}",
            spread("both answers", self.answered_ms),
        ]
        return self._verdict
