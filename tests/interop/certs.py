# SPDX-License-Identifier: MIT
"""A root of our own and a certificate for loopback, for the WebSockets over TLS: made once for each run, by openssl."""
import functools
import subprocess
import tempfile
import threading
from pathlib import Path

making = threading.RLock()  # cases run side by side


class Certs:
    """Files: ca (PEM) is what dialers trust; cert, key (PEM) and their DER forms are the listener's."""

    def __init__(self, folder):
        self.folder = Path(folder)
        names = ("ca.pem", "ca.der", "web.pem", "web.key", "web.der", "web-key.der")
        self.ca, self.ca_der, self.cert, self.key, self.cert_der, self.key_der = (self.folder / n for n in names)
        self._make()

    def _run(self, *args):
        subprocess.run(["openssl", *map(str, args)], cwd=self.folder, check=True, capture_output=True)

    def _make(self):
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        self._run("req", "-x509", *curve, "-keyout", "ca.key", "-out", self.ca, "-days", "30", "-subj", "/CN=interop root")
        self._run("req", *curve, "-keyout", self.key, "-out", "web.csr", "-subj", "/CN=localhost")
        (self.folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n", encoding="ascii")
        self._run("x509", "-req", "-in", "web.csr", "-CA", self.ca, "-CAkey", "ca.key", "-CAcreateserial", "-days", "30",
                  "-out", self.cert, "-extfile", "names")
        self._run("x509", "-in", self.ca, "-outform", "DER", "-out", self.ca_der)
        self._run("x509", "-in", self.cert, "-outform", "DER", "-out", self.cert_der)
        self._run("pkcs8", "-topk8", "-nocrypt", "-in", self.key, "-outform", "DER", "-out", self.key_der)

    def rsa_key(self):
        """An identity for the rust peer, which makes no RSA keys itself: PKCS #8, DER."""
        out = self.folder / "rsa.der"
        with making:
            if not out.exists():
                self._run("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "rsa.pem")
                self._run("pkcs8", "-topk8", "-nocrypt", "-in", "rsa.pem", "-outform", "DER", "-out", out)
        return out


def certs():
    """Made at first use; the folder goes with the process."""
    with making:
        return _certs()


@functools.lru_cache(maxsize=None)
def _certs():
    folder = tempfile.TemporaryDirectory(prefix="lp2p-interop-")
    made = Certs(folder.name)
    made.keep = folder
    return made
