// SPDX-License-Identifier: Apache-2.0

package trustroot

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"strings"
	"testing"
	"time"
)

// TestParseIsTheReverse: what was published is read, and written again, to the
// byte.
func TestParseIsTheReverse(t *testing.T) {
	d := newDeployment(t)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	d.LogV2 = ed.Public()
	m := d.Material()
	m.CertificateLogs[0].End = epoch.Add(time.Hour)
	doc, err := TrustedRoot(m)
	check(t, err)
	got, err := Parse(doc)
	check(t, err)
	again, err := TrustedRoot(got)
	check(t, err)
	if !bytes.Equal(doc, again) {
		t.Errorf("written\n%s\nread and written\n%s", doc, again)
	}
	if !got.HasLog(d.LogV1) || !got.HasLog(d.LogV2) || !got.CertificateLogs[0].End.Equal(epoch.Add(time.Hour).Truncate(time.Second)) {
		t.Errorf("read %+v", got)
	}
}

// TestParseRefuses what it would lose or change.
func TestParseRefuses(t *testing.T) {
	m := newDeployment(t).Material()
	valid, err := TrustedRoot(m)
	check(t, err)
	for _, tt := range []struct{ name, old, replacement, says string }{
		{"an unknown member", `"mediaType"`, `"comment": "ours", "mediaType"`, "unknown field"},
		{"another format", "version=0.1", "version=0.2", "media type"},
		{"a key that is none", `"rawBytes": "MFkw`, `"rawBytes": "AAAA`, "transparency log 0"},
		{"another key id", `"keyId": "`, `"keyId": "AAAA`, "not written by Hallmark"},
		{"no start", `"start": "`, `"start": "x`, "window"},
		{"fractions of a second", `07Z"`, `07.5Z"`, "not written by Hallmark"},
		{"no log", `"tlogs": [`, `"tlogs": [], "ctlogs": [`, ""},
		{"a URL that is none", `"baseUrl": "https:`, `"baseUrl": "https:%zz`, "transparency log 0"},
		{"more after it", "\n}\n", "\n} {}\n", "follows"},
	} {
		doc := strings.Replace(string(valid), tt.old, tt.replacement, 1)
		if doc == string(valid) {
			t.Fatalf("%s: nothing was replaced", tt.name)
		}
		if _, err := Parse([]byte(doc)); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.says)
		}
	}
}

// FuzzParse: what is read can be written, and is read the same again.
func FuzzParse(f *testing.F) {
	doc, err := TrustedRoot(newDeployment(f).Material())
	check(f, err)
	f.Add(doc)
	f.Add([]byte(`{"mediaType":"` + MediaType + `","tlogs":[{"publicKey":{"rawBytes":"MFkw"}}]}`))
	f.Add([]byte(`{}{}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		m, err := Parse(doc)
		if err != nil {
			return
		}
		written, err := TrustedRoot(m)
		if err != nil {
			t.Fatalf("read and not written: %v", err)
		}
		if again, err := Parse(written); err != nil || len(again.Logs) != len(m.Logs) {
			t.Fatalf("written and not read: %v", err)
		}
	})
}
