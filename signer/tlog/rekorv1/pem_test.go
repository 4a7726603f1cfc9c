// SPDX-License-Identifier: Apache-2.0

package rekorv1

import (
	"bytes"
	"crypto/rand"
	"encoding/pem"
	"strings"
	"testing"
)

// What is read without encoding/pem is exactly what encodePEM writes.
func FuzzCanonicalPEM(f *testing.F) {
	for _, n := range []int{0, 1, 2, 3, 47, 48, 49, 96, 700} {
		der := make([]byte, n)
		_, _ = rand.Read(der) // never fails, says crypto/rand
		written := encodePEM(pemCertificate, der)
		f.Add(string(written))
		f.Add(strings.ReplaceAll(string(written), "\n", "\r\n"))
		f.Add(strings.ReplaceAll(string(written), "=", ""))
		f.Add("a letter\n" + string(written))
		f.Add(string(written) + "\n")
	}
	f.Add("-----BEGIN CERTIFICATE-----\nAB==\n-----END CERTIFICATE-----\n") // bits that say nothing
	f.Add("-----BEGIN CERTIFICATE-----\nAA==\nAA==\n-----END CERTIFICATE-----\n")
	f.Add("-----BEGIN CERTIFICATE-----\nAAAA\rAAAA\n-----END CERTIFICATE-----\n")
	f.Fuzz(func(t *testing.T, text string) {
		der, ok := decodeCanonicalPEM([]byte(text), pemCertificate)
		if !ok {
			// Nothing that is the one form may be missed.
			if block, _ := pem.Decode([]byte(text)); block != nil && bytes.Equal(encodePEM(pemCertificate, block.Bytes), []byte(text)) {
				t.Errorf("%q is as encodePEM writes it, and is not taken", text)
			}
			return
		}
		if got := encodePEM(pemCertificate, der); string(got) != text {
			t.Errorf("%q is taken, and written %q", text, got)
		}
	})
}
