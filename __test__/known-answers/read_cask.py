#!/usr/bin/env python3
"""Reads the folder of a cask and prints what is in it as JSON; knows docs/format.md and docs/values.md, and no code.

    read_cask.py FOLDER [--key FILE | --passphrase FILE]
    read_cask.py --slot FILE (--key FILE | --passphrase FILE)

A key is 32 bytes as 64 hexadecimal digits; a passphrase is the whole file. FILE `-` is the standard input: no secret is
an argument. `--slot` decodes a key slot alone and prints its data key. What fails is printed as JSON too, with exit code 1.
"""

import argparse
import base64
import json
import sys

from cask import key_slot
from cask.bytes import CaskError
from cask.operations import CREDS
from cask.recovery import Cask, read_file
from cask.values import decode


def secret_of(options):
    path = options.key or options.passphrase
    if path is None:
        return None
    data = sys.stdin.buffer.read() if path == "-" else read_file(path)
    if options.passphrase:
        return key_slot.Secret(key_slot.PASSPHRASE, data)
    key = bytes.fromhex(data.decode("ascii").strip())
    if len(key) != 32:
        raise ValueError("a key has 32 bytes")
    return key_slot.Secret(key_slot.RAW_KEY, key)


def record(name, value):
    return {
        "id": name,
        "tag": value[0] if value else None,
        "bytes": base64.b64encode(value).decode("ascii"),
        "value": decode(value),
    }


def account(name, records):
    families, creds = {}, None
    for (family, one), value in sorted(records.items()):
        if family == CREDS:
            creds = record(one, value)
        else:
            families.setdefault(family, []).append(record(one, value))
    return {"name": name, "creds": creds, "families": families}


def report(cask):
    present = cask.accounts.present()
    return {
        "cask": cask.id.hex(),
        "sealed": cask.keys is not None,
        "closed": cask.closed,
        "lastSequence": cask.last,
        "synced": cask.synced,
        "cutBytes": cask.cut,
        "segments": cask.segments,
        "withoutHeader": cask.headless,
        "hints": cask.hints,
        "accounts": [account(name, present[name]) for name in sorted(present)],
    }


def slot_report(path, secret):
    fields = key_slot.unwrap(read_file(path), secret, path)
    return {**fields, "cask": fields["cask"].hex(), "dataKey": fields["dataKey"].hex()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("folder", nargs="?")
    what.add_argument("--slot", metavar="FILE")
    given = parser.add_mutually_exclusive_group()
    given.add_argument("--key", metavar="FILE")
    given.add_argument("--passphrase", metavar="FILE")
    options = parser.parse_args()
    secret = secret_of(options)
    if options.slot and secret is None:
        parser.error("--slot wants --key or --passphrase")
    try:
        found = slot_report(options.slot, secret) if options.slot else report(Cask(options.folder, secret))
    except CaskError as error:
        found = {"error": error.code, "message": str(error), "path": error.path, "offset": error.offset}
        json.dump(found, sys.stdout)
        return 1
    json.dump(found, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
