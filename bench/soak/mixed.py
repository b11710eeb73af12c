"""Minutes of mixed load: images, repeats, disconnects and hostile requests.

Four clients request images of all kinds; each must have the same bytes every time. In parallel one
client disconnects, one repeats with an Idempotency-Key and one attacks. Memory must be flat after
the warm-up.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections import Counter

from bench import process
from bench.load import Answer, Asked
from bench.soak.attacks import attack
from bench.soak.client import Connection, ask_with_key, requests, serving
from bench.soak.hostile import BODY_TIMEOUT_S, Siege
from bench.soak.verdict import Verdict, spread

NUM_CLIENTS = 4
_SAMPLE_S = 0.25
_WARM_UP = 0.25  # share of the duration
_MAX_CHANGE = 0.05
# A shorter run cannot show whether memory grows.
_MIN_SECONDS = 120
_ATTACK_S, _LEAVE_S, _REPEAT_S = 0.1, 0.5, 0.5


def measure(seconds: int) -> Verdict:
    with serving(DAGUERRE_REQUEST_READ_TIMEOUT_S=str(BODY_TIMEOUT_S)) as server:
        mixture = Mixture(server, seconds)
        asyncio.run(mixture.run())
    return mixture.judged()


class Mixture:
    def __init__(self, server: process.ServerProcess, seconds: int) -> None:
        self._server, self._seconds = server, seconds
        self._end_s = float("inf")
        self._digests: dict[Asked, str] = {}
        self._source = random.Random(0)
        self._verdict = Verdict()
        self._siege = Siege(server, self._verdict)
        self.counts: Counter[str] = Counter()
        self.answered_ms: list[float] = []
        self.resident_mb: list[float] = []

    async def run(self) -> None:
        self._end_s = time.perf_counter() + self._seconds
        images = (self._images() for _ in range(NUM_CLIENTS))
        others = (self._leaves(), self._repeats(), self._attacks(), self._sample())
        await asyncio.gather(*images, *others)

    @property
    def _is_running(self) -> bool:
        return time.perf_counter() < self._end_s

    async def _images(self) -> None:
        connection, asked = await Connection.open(self._server.target), requests(48)
        while self._is_running:
            self._note(await connection.ask(self._source.choice(asked)))
        connection.close()

    async def _repeats(self) -> None:
        """Send each request twice at once with one key; both must get the same answer."""
        while self._is_running:
            asked, key = self._source.choice(requests(48)), f"{self._source.random()}"
            target = self._server.target
            first, second = await asyncio.gather(
                *(ask_with_key(target, asked, key) for _ in range(2))
            )
            self._note(first)
            self._verdict.expect(first.body == second.body, "a repeated key got another body")
            self.counts["repeats"] += 1
            await asyncio.sleep(_REPEAT_S)

    async def _leaves(self) -> None:
        while self._is_running:
            connection = await Connection.open(self._server.target)
            connection.send(self._source.choice(requests(48)))
            await asyncio.sleep(self._source.uniform(0, _LEAVE_S))
            connection.reset()
            self.counts["left"] += 1

    async def _attacks(self) -> None:
        while self._is_running:
            await self._siege.send(attack(self._source, self._server.target.key))
            self.counts["attacks"] += 1
            await asyncio.sleep(_ATTACK_S)

    async def _sample(self) -> None:
        while self._is_running:
            self.resident_mb.append(self._server.resident_mb())
            await asyncio.sleep(_SAMPLE_S)

    def _note(self, answer: Answer) -> None:
        self.counts["images"] += 1
        self.answered_ms.append(answer.total_ms)
        if answer.status != 200:
            self._verdict.faults.append(f"an image was answered {answer.status}")
        elif self._digests.setdefault(answer.asked, answer.digest) != answer.digest:
            self._verdict.faults.append(f"different bytes for {answer.asked}")

    def judged(self) -> Verdict:
        warm = self.resident_mb[int(len(self.resident_mb) * _WARM_UP) :]
        third = max(1, len(warm) // 3)
        first_mb, last_mb = statistics.mean(warm[:third]), statistics.mean(warm[-third:])
        change = last_mb / first_mb - 1
        if self._seconds >= _MIN_SECONDS:
            self._verdict.expect_figure(change <= _MAX_CHANGE, f"memory grew by {change:.1%}")
        self._verdict.facts += [
            ", ".join(f"{count} {name}" for name, count in sorted(self.counts.items())),
            spread("images", self.answered_ms),
            f"memory after the warm-up: {first_mb:.0f} MB in the first third, {last_mb:.0f} MB in"
            f" the last ({change:+.1%})",
        ]
        return self._verdict
