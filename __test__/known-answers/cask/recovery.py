"""Section "Recovery" of docs/format.md, as far as a cask needs it that was closed or whose process was killed."""

import os
import re

from . import key_slot
from .bytes import CaskError, require
from .hint import Hint, entries, is_whole
from .manifest import Manifest
from .operations import Accounts
from .sealing import Keys, wrong_key
from .segment import END, HEADER_LEN, BadFrame, Segment


def read_file(path):
    with open(path, "rb") as file:
        return file.read()


class Cask:
    """All that can be said of a folder. Nothing in it is changed, and its lock is not taken."""

    def __init__(self, folder, secret=None):
        self.folder = folder
        self.names = set(os.listdir(folder))
        finished = "incomplete" not in self.names and not os.path.basename(os.path.abspath(folder)).endswith(".partial")
        require(finished, "a folder that is not finished", folder)
        self.accounts = Accounts()
        self.segments, self.hints, self.headless = [], [], []
        self.last, self.closed, self.cut = 0, True, 0
        self.keys, slot = self._unwrap(secret)
        self.files = self._headers()
        path = self.path("manifest")
        require("manifest" in self.names or not self.files, "segments without a manifest", folder)
        require("manifest" in self.names, "no cask: neither a manifest nor a segment", folder)
        self.manifest = Manifest(read_file(path), self.keys, path)
        self.id = self.manifest.cask
        require(slot is None or slot["cask"] == self.id, "the key slot of another cask", self.path("key"), 24)
        for segment in self.files.values():
            require(segment.cask == self.id, "a segment of another cask", segment.path, 24)
        self.synced = self.manifest.synced
        for named in self.manifest.named:
            self._replay_named(named)
        self._replay_log(self._line())
        require(self.last >= self.synced, f"the log ends at {self.last} and was on disk up to {self.synced}", folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def _unwrap(self, secret):
        path = self.path("key")
        if "key" not in self.names:
            if secret is not None:
                raise wrong_key("a plain cask has no key", self.folder)
            return None, None
        if secret is None:
            raise wrong_key("a sealed cask wants its key", path)
        slot = key_slot.unwrap(read_file(path), secret, path)
        return Keys(slot["dataKey"], slot["number"]), slot

    def _headers(self):
        files = {}
        for name in sorted(self.names):
            match = re.fullmatch(r"([0-9a-f]{16})\.seg", name)
            if not match:
                continue
            path = self.path(name)
            segment = Segment.open(read_file(path), self.keys, path)
            if segment is None:
                self.headless.append(name)
                continue
            require(segment.number == int(match.group(1), 16), "a segment under another number", path, 40)
            files[segment.number] = segment
        return files

    def _replay_named(self, named):
        name = f"{named.number:016x}"
        segment = self.files.get(named.number)
        require(segment is not None, "a segment that the manifest names is not there", self.path(name + ".seg"))
        path = segment.path
        require(segment.salt == named.salt, "not the segment that the manifest names", path, 48)
        require(segment.copy == named.copy, "a copy for a segment, or the reverse", path, 90)
        self._claim(segment.synced)
        require(named.first in (None, segment.first), "another first sequence number than the manifest says", path, 96)
        require(len(segment.data) >= named.end, "a segment that is too short", path, len(segment.data))
        require(segment.first > self.last, "a segment that stands for what another one stood for", path, 96)
        self.last = segment.first - 1
        frames, at = self._frames(segment, named.end, gaps=named.copy)
        require(at == named.end, "a bad frame in a segment that the manifest names", path, at)
        require(self.last <= named.last and (named.copy or self.last == named.last), "another last frame", path, at)
        self.last = named.last
        self._note(segment, frames, at, True)
        self._compare_hint(name + ".hint", segment, frames, at)

    def _compare_hint(self, name, segment, frames, end):
        if name not in self.names:
            return
        path = self.path(name)
        data = read_file(path)
        hint = Hint(data, self.keys, path) if is_whole(data) else None
        if hint is None or (hint.cask, hint.number, hint.salt, hint.end) != (self.id, segment.number, segment.salt, end):
            self.hints.append({"name": name, "used": False})
            return
        said, expected = dict(hint.groups), entries(frames)
        require(len(said) == len(hint.groups), "two groups of one account", path)
        require(said == expected, "the hint does not say what its segment says", path)
        count = sum(len(group) for group in said.values())
        self.hints.append({"name": name, "used": True, "operations": count})

    def _line(self):
        """The segments behind the last one that the manifest stands for, in the order of the log."""
        through = self.manifest.through
        newer = {number for number in self.files if number > (through[0] if through else 0)}
        for newest in sorted(newer, reverse=True):
            line = self._line_back(self.files[newest], through, newer)
            if line:
                return line
        return []

    def _line_back(self, segment, through, newer):
        line = [segment]
        while not segment.copy:
            number, salt = segment.predecessor[:2]
            if number == 0:
                return line if through is None else None
            if segment.predecessor == through:
                return line
            if number not in newer or number >= segment.number or self.files[number].salt != salt:
                return None
            segment = self.files[number]
            line.insert(0, segment)
        return None

    def _replay_log(self, line):
        """Up to where the log ends; what is behind that counts for W alone."""
        self.last = self.manifest.through[3] if self.manifest.through else 0
        bad, behind = None, False
        through = self.files.get(self.manifest.through[0]) if self.manifest.through and not line else None
        if through and any(named.number == through.number for named in self.manifest.named):
            bad = (through, self.manifest.through[2])
            behind = self._look_behind(*bad)
        for index, segment in enumerate(line):
            following = line[index + 1] if index + 1 < len(line) else None
            stop = min(following.predecessor[2], len(segment.data)) if following else len(segment.data)
            require(segment.first == self.last + 1, "not the next first sequence number", segment.path, 96)
            self._claim(segment.synced)
            frames, at = self._frames(segment, stop, gaps=False)
            self._note(segment, frames, at, False)
            if following and (at, self.last) == following.predecessor[2:]:
                continue
            bad, behind = (segment, at), self._look_behind(segment, at)
            for later in line[index + 1 :]:
                self._claim(later.synced)
                behind = self._look_behind(later, HEADER_LEN) or behind
            if following is None and segment.written_end() <= at:
                bad = None
            break
        self._look_at_the_rest(line)
        if bad and behind:
            require(not self._of_this_boot(bad[0]), "a bad frame with valid ones behind it", bad[0].path, bad[1])

    def _look_at_the_rest(self, line):
        """Segments that are newer than the line. Others are leftovers of a cut or of compaction, and count for nothing."""
        last = line[-1].number if line else (self.manifest.through or (0,))[0]
        for number, segment in self.files.items():
            if number > last and not segment.copy:
                self._claim(segment.synced)
                whole = self._look_behind(segment, HEADER_LEN)
                require(not (whole and self._of_this_boot(segment)), "a segment that no line leads to", segment.path, 112)
        for name in self.headless:
            data = read_file(self.path(name))
            self.cut += len(data) if any(data) else 0

    def _look_behind(self, segment, at):
        end = segment.written_end()
        if end <= at:
            return False
        self.cut += end - at
        for _, synced in segment.headers_from(at):
            self._claim(synced)
        return segment.has_frame_from(at)

    def _claim(self, synced):
        self.synced = max(self.synced, synced)

    def _frames(self, segment, stop, gaps):
        frames, at = [], HEADER_LEN
        while at < stop:
            try:
                frame = segment.frame(at)
            except BadFrame:
                break
            next_one = frame.sequence > self.last if gaps else frame.sequence == self.last + 1
            if not next_one or frame.end > stop:
                break
            for chunk in frame.chunks:
                for operation in chunk.operations:
                    self.accounts.apply(chunk.account, operation, segment.path)
            self.last, at = frame.sequence, frame.end
            self._claim(frame.synced)
            frames.append(frame)
        return frames, at

    def _note(self, segment, frames, end, named):
        self.closed = bool(frames) and frames[-1].kind == END
        self.segments.append(
            {"number": segment.number, "copy": segment.copy, "named": named, "frames": len(frames), "end": end}
        )

    def _of_this_boot(self, segment):
        try:
            with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
                return segment.boot == bytes.fromhex(file.read().strip().replace("-", ""))
        except OSError:
            return False


__all__ = ["Cask", "CaskError"]
