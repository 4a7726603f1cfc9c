// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestRevocationsRefuses lists that could be read in two ways, or that say what is not understood.
func TestRevocationsRefuses(t *testing.T) {
	const good = `{"mediaType":"application/vnd.hallmark.revocations+json;version=1","version":3,"issued":"2026-01-02T03:04:05Z","revocations":[{"kind":"digest","value":"sha256:00ff","reason":"r","revoked":"2026-01-02T03:04:05Z"}]}`
	list, err := ParseRevocations([]byte(good))
	if err != nil || list.Version() != 3 || list.AsOf().Year() != 2026 {
		t.Fatalf("%+v, %v", list, err)
	}
	if _, revoked := list.Digest("sha256:00ff"); !revoked {
		t.Error("not found")
	}
	for name, edit := range map[string][2]string{
		"another version":  {"version=1", "version=2"},
		"unknown member":   {`"reason"`, `"severity":1,"reason"`},
		"unknown kind":     {`"digest"`, `"builder"`},
		"no value":         {`"sha256:00ff"`, `""`},
		"upper-case hex":   {"00ff", "00FF"},
		"no time":          {`"issued":"2026-01-02T03:04:05Z",`, ``},
		"version zero":     {`"version":3`, `"version":0`},
		"more after it":    {`]}`, `]}{}`},
		"no such document": {good, `[]`},
	} {
		bad := strings.Replace(good, edit[0], edit[1], 1)
		if bad == good {
			t.Fatalf("%s: nothing was replaced", name)
		}
		if _, err := ParseRevocations([]byte(bad)); err == nil {
			t.Errorf("%s: read", name)
		}
	}
	if _, err := ParseRevocations(make([]byte, MaxBytes+1)); err == nil {
		t.Error("too large: read")
	}
}

// TestNoRevocations: no list revokes nothing and is as old as can be.
func TestNoRevocations(t *testing.T) {
	var none *Revocations
	if _, revoked := none.Identity("x", time.Now()); revoked || none.Version() != 0 || !none.AsOf().IsZero() {
		t.Error("no list revokes something")
	}
}

// TestFromTUFRefuses what is no repository. What a good one says is tested where one is made: e2e/trust.
func TestFromTUFRefuses(t *testing.T) {
	junk := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }))
	defer junk.Close()
	for name, cfg := range map[string]TUF{
		"no URL":                    {Root: []byte("{}")},
		"no root":                   {URL: junk.URL},
		"a root that is none":       {URL: junk.URL, Root: []byte("{}")},
		"a root that is far larger": {URL: junk.URL, Root: make([]byte, maxTUFRoot+1)},
		"a file URL":                {URL: "file:///etc/tuf", Root: []byte("{}")},
	} {
		if _, err := FromTUF(context.Background(), cfg); err == nil {
			t.Errorf("%s: believed", name)
		}
	}
}

// FuzzRevocations: what is read can be asked anything.
func FuzzRevocations(f *testing.F) {
	f.Add([]byte(`{"mediaType":"application/vnd.hallmark.revocations+json;version=1","version":3,"issued":"2026-01-02T03:04:05Z","revocations":[{"kind":"identity","value":"https://a/*","reason":"r","revoked":"2026-01-02T03:04:05Z"}]}`), "https://a/b")
	f.Fuzz(func(t *testing.T, doc []byte, name string) {
		list, err := ParseRevocations(doc)
		if err != nil {
			return
		}
		list.Digest(name)
		list.Key(name, time.Now())
		if r, revoked := list.Identity(name, time.Time{}); revoked && r.Kind != RevokedIdentity {
			t.Errorf("%q is revoked by %s", name, r)
		}
	})
}
