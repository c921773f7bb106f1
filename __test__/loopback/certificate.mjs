/**
 * Who the server says it is: a key pair, and a chain of certificates for it.
 *
 * `baileys` checks that chain against a root key that it exports as `WA_CERT_DETAILS.PUBLIC_KEY`. Importing this file puts the key of a root
 * of our own there, for this process. (rc14 with libsignal 6.0.0 accepts any signature, so that it works without; the chain does not count on
 * that.) `@whiskeysockets/baileys` 6.7 looks at the serial number of the chain only.
 */
import { Curve, proto, WA_CERT_DETAILS } from 'baileys'

const { Details } = proto.CertChain.NoiseCertificate
const root = Curve.generateKeyPair()
const intermediate = Curve.generateKeyPair()

function certified(issuer, details) {
  const bytes = Details.encode(details).finish()
  return { details: bytes, signature: Curve.sign(issuer.private, bytes) }
}

export const identity = Curve.generateKeyPair()

export const certificate = proto.CertChain.encode({
  leaf: certified(intermediate, { serial: 2, issuerSerial: 1, key: identity.public }),
  intermediate: certified(root, { serial: 1, issuerSerial: WA_CERT_DETAILS.SERIAL, key: intermediate.public }),
}).finish()

WA_CERT_DETAILS.PUBLIC_KEY = Buffer.from(root.public)
