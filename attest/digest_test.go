// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
)

func TestDigest(t *testing.T) {
	d := attest.DigestOf([]byte("{}"))
	// The digest of OCI's empty config, known to every registry.
	const want = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
	if d != attest.Digest("sha256:"+want) || d.Hex() != want {
		t.Errorf("digest of {} is %s", d)
	}
	if sum := sha256.Sum256([]byte("{}")); !bytes.Equal(d.Bytes(), sum[:]) {
		t.Errorf("bytes %x", d.Bytes())
	}
	if got, err := attest.ParseDigest(string(d)); err != nil || got != d {
		t.Errorf("ParseDigest: %s, %v", got, err)
	}
}

func TestParseDigestRefuses(t *testing.T) {
	hex64 := strings.Repeat("a", 64)
	for _, s := range []string{
		"", "sha256:", hex64, "sha256:" + hex64[1:], "sha256:" + hex64 + "a", "sha256:" + strings.ToUpper(hex64),
		"SHA256:" + hex64, "sha512:" + strings.Repeat("a", 128), "sha256:" + hex64[1:] + "g", " sha256:" + hex64,
		"sha256:" + hex64 + "\n", "sha256-" + hex64, "md5:" + hex64[:32],
	} {
		d, err := attest.ParseDigest(s)
		if !errors.Is(err, attest.ErrDigest) || d != "" {
			t.Errorf("%q: %q, %v", s, d, err)
		}
		if attest.Digest(s).Hex() != "" || attest.Digest(s).Bytes() != nil {
			t.Errorf("%q has hex digits", s)
		}
	}
}

func TestPAE(t *testing.T) {
	// The example of the DSSE specification.
	got := attest.PAE("http://example.com/HelloWorld", []byte("hello world"))
	if want := "DSSEv1 29 http://example.com/HelloWorld 11 hello world"; string(got) != want {
		t.Errorf("PAE is %q, want %q", got, want)
	}
	if got := attest.PAE("", nil); string(got) != "DSSEv1 0  0 " {
		t.Errorf("empty PAE is %q", got)
	}
}
