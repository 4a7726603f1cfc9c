// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/storagetest"
)

// keyKinds are the keys a log can have.
func keyKinds(t testing.TB) map[string]crypto.Signer {
	t.Helper()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]crypto.Signer{"ECDSA P-256": newKey(t), "Ed25519": ed}
}

func TestCheckpointOfEveryKeyKind(t *testing.T) {
	for name, key := range keyKinds(t) {
		t.Run(name, func(t *testing.T) {
			st := storagetest.NewMemory()
			l := create(t, st, tlog.Config{Name: "v2", Origin: origin, Signer: key})
			in, err := l.Append(t.Context(), leaf(1))
			if err != nil {
				t.Fatal(err)
			}
			c, err := tlog.ParseCheckpoint(in.Checkpoint, origin, key.Public())
			if err != nil {
				t.Fatal(err)
			}
			if c.Size != 1 || c.Root != in.Root {
				t.Errorf("checkpoint %+v of %+v", c, in)
			}
			if _, err := tlog.ParseCheckpoint(in.Checkpoint, origin, newKey(t).Public()); err == nil {
				t.Error("another key verifies it, too")
			}
			if _, err := tlog.ParseCheckpoint(in.Checkpoint, "other.example", key.Public()); err == nil {
				t.Error("it passes under another origin")
			}
		})
	}
}

// x/mod's own Ed25519 keys follow C2SP: both sides must agree.
func TestEd25519AgreesWithNotePackage(t *testing.T) {
	skey, vkey, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := note.Sign(&note.Note{Text: tlog.Checkpoint{Origin: origin, Size: 7}.String()}, theirs)
	if err != nil {
		t.Fatal(err)
	}
	// A verifier key is name+hash+base64(0x01 || key).
	_, encoded, _ := strings.Cut(strings.TrimPrefix(vkey, origin+"+"), "+")
	pub := ed25519.PublicKey(decode(t, encoded)[1:])
	c, err := tlog.ParseCheckpoint(signed, origin, pub)
	if err != nil || c.Size != 7 {
		t.Fatalf("%+v, %v", c, err)
	}
	id, err := tlog.KeyID(origin, pub)
	if err != nil {
		t.Fatal(err)
	}
	if hint := uint32(id[0])<<24 | uint32(id[1])<<16 | uint32(id[2])<<8 | uint32(id[3]); hint != verifier.KeyHash() {
		t.Errorf("key hint %08x, want %08x", hint, verifier.KeyHash())
	}
}

func TestForeignSignaturesAreAllowed(t *testing.T) {
	key := newKey(t)
	l := create(t, storagetest.NewMemory(), tlog.Config{Name: "v2", Origin: origin, Signer: key})
	signed, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	skey, _, err := note.GenerateKey(rand.Reader, "witness.example")
	if err != nil {
		t.Fatal(err)
	}
	witness, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ := bytes.Cut(signed, []byte("\n\n"))
	cosigned, err := note.Sign(&note.Note{Text: string(text) + "\n"}, witness)
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := bytes.Cut(cosigned, []byte("\n\n"))
	if _, err := tlog.ParseCheckpoint(append(signed, line...), origin, key.Public()); err != nil {
		t.Errorf("a witness's line: %v", err)
	}
	if _, err := tlog.ParseCheckpoint(cosigned, origin, key.Public()); err == nil {
		t.Error("a witness's line alone is enough")
	}
}

func TestUnsuitableKeys(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]tlog.Config{
		"P-384":             {Name: "v2", Origin: origin, Signer: p384},
		"RSA":               {Name: "v2", Origin: origin, Signer: rsaKey},
		"no key":            {Name: "v2", Origin: origin},
		"no name":           {Origin: origin, Signer: newKey(t)},
		"no origin":         {Name: "v2", Signer: newKey(t)},
		"space in origin":   {Name: "v2", Origin: "log example", Signer: newKey(t)},
		"newline in origin": {Name: "v2", Origin: "log\nexample", Signer: newKey(t)},
		"plus in origin":    {Name: "v2", Origin: "log+example", Signer: newKey(t)},
		"lying key":         {Name: "v2", Origin: origin, Signer: lyingKey{newKey(t), newKey(t)}},
	} {
		if err := tlog.Create(t.Context(), storagetest.NewMemory(), cfg, birth); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if _, err := tlog.Load(t.Context(), storagetest.NewMemory(), cfg); err == nil {
			t.Errorf("%s: loaded", name)
		}
	}
}

// The note of Rekor v1: signed under the host's name alone, by ECDSA, once.
func TestCheckpointV1(t *testing.T) {
	const host, originV1 = "log.example", "log.example - 7264578203954"
	key, st := newKey(t), storagetest.NewMemory()
	cfg := tlog.Config{Name: "v1", Origin: originV1, Signer: key}
	if err := tlog.Create(t.Context(), st, cfg, tlog.Birth{Kind: tlog.V1, TreeID: 7264578203954, State: tlog.Active}); err != nil {
		t.Fatal(err)
	}
	in, err := load(t, st, cfg).Append(t.Context(), leaf(1))
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	id := sha256.Sum256(spki)
	// Written out, and read by x/mod with a verifier of our own.
	text, sig, found := strings.Cut(string(in.Checkpoint), "\n\n\u2014 "+host+" ")
	if want := fmt.Sprintf("%s\n1\n%s", originV1, in.Root); !found || text != want || strings.Count(sig, "\n") != 1 {
		t.Fatalf("checkpoint %q, want %q", in.Checkpoint, want)
	}
	raw := decode(t, strings.TrimSuffix(sig, "\n"))
	digest := sha256.Sum256([]byte(text + "\n"))
	public, ok := key.Public().(*ecdsa.PublicKey)
	if !ok || !bytes.Equal(raw[:4], id[:4]) || !ecdsa.VerifyASN1(public, digest[:], raw[4:]) {
		t.Error("hint or signature are wrong")
	}
	c, err := tlog.ParseCheckpoint(in.Checkpoint, originV1, key.Public())
	if err != nil || c.Size != 1 || c.Root != in.Root || c.Origin != originV1 {
		t.Errorf("%+v, %v", c, err)
	}
	if got, err := tlog.KeyID(originV1, key.Public()); err != nil || !bytes.Equal(got, id[:]) {
		t.Errorf("key id %x, %v", got, err)
	}
	twice := string(in.Checkpoint) + "\u2014 " + host + " " + sig
	for name, bad := range map[string]struct{ signed, origin string }{
		"as v2":            {string(in.Checkpoint), host},
		"another tree id":  {string(in.Checkpoint), host + " - 7264578203955"},
		"another host":     {string(in.Checkpoint), "other.example - 7264578203954"},
		"a signature more": {twice, originV1},
		"a witness":        {string(in.Checkpoint) + "\u2014 witness.example " + sig, originV1},
	} {
		if _, err := tlog.ParseCheckpoint([]byte(bad.signed), bad.origin, key.Public()); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// What a log cannot be born as.
func TestBirth(t *testing.T) {
	const id = 81985529216486895
	v1 := fmt.Sprint("log.example - ", id)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		origin string
		key    crypto.Signer
		birth  tlog.Birth
		ok     bool
	}{
		"v1":              {v1, nil, tlog.Birth{Kind: tlog.V1, TreeID: id, State: tlog.Pending}, true},
		"v2":              {origin, nil, tlog.Birth{Kind: tlog.V2, TreeID: id, State: tlog.Active}, true},
		"v2, Ed25519":     {origin, ed, tlog.Birth{Kind: tlog.V2, TreeID: id, State: tlog.Active}, true},
		"v1, Ed25519":     {v1, ed, tlog.Birth{Kind: tlog.V1, TreeID: id, State: tlog.Active}, false},
		"v1 as v2":        {v1, nil, tlog.Birth{Kind: tlog.V2, TreeID: id, State: tlog.Active}, false},
		"v2 as v1":        {origin, nil, tlog.Birth{Kind: tlog.V1, TreeID: id, State: tlog.Active}, false},
		"another tree id": {v1, nil, tlog.Birth{Kind: tlog.V1, TreeID: id + 1, State: tlog.Active}, false},
		"no tree id":      {origin, nil, tlog.Birth{Kind: tlog.V2, State: tlog.Active}, false},
		"negative":        {origin, nil, tlog.Birth{Kind: tlog.V2, TreeID: -id, State: tlog.Active}, false},
		"leading zero":    {"log.example - 07", nil, tlog.Birth{Kind: tlog.V1, TreeID: 7, State: tlog.Active}, false},
		"too large":       {"log.example - 9223372036854775808", nil, tlog.Birth{Kind: tlog.V1, TreeID: 7, State: tlog.Active}, false},
		"space in host":   {"log example - 7", nil, tlog.Birth{Kind: tlog.V1, TreeID: 7, State: tlog.Active}, false},
		"no host":         {" - 7", nil, tlog.Birth{Kind: tlog.V1, TreeID: 7, State: tlog.Active}, false},
		"frozen":          {origin, nil, tlog.Birth{Kind: tlog.V2, TreeID: id, State: tlog.Frozen}, false},
		"no state":        {origin, nil, tlog.Birth{Kind: tlog.V2, TreeID: id}, false},
		"no kind":         {origin, nil, tlog.Birth{TreeID: id, State: tlog.Active}, false},
		"kind v3":         {origin, nil, tlog.Birth{Kind: "v3", TreeID: id, State: tlog.Active}, false},
	} {
		st := storagetest.NewMemory()
		if tc.key == nil {
			tc.key = newKey(t)
		}
		err := tlog.Create(t.Context(), st, tlog.Config{Name: "log", Origin: tc.origin, Signer: tc.key}, tc.birth)
		rows, readErr := st.Logs(t.Context())
		if (err == nil) != tc.ok || (len(rows) == 1) != tc.ok || readErr != nil {
			t.Errorf("%s: %v, %d logs", name, err, len(rows))
		}
	}
}

// Two logs that clients could not tell apart.
func TestLogsAreApart(t *testing.T) {
	st, key := storagetest.NewMemory(), newKey(t)
	if err := tlog.Create(t.Context(), st, tlog.Config{Name: "v2", Origin: origin, Signer: key}, birth); err != nil {
		t.Fatal(err)
	}
	pending := tlog.Birth{Kind: tlog.V2, TreeID: 2, State: tlog.Pending}
	for name, tc := range map[string]struct {
		cfg   tlog.Config
		birth tlog.Birth
		err   error
	}{
		"name":          {tlog.Config{Name: "v2", Origin: "b.example", Signer: newKey(t)}, pending, tlog.ErrLogExists},
		"origin":        {tlog.Config{Name: "b", Origin: origin, Signer: newKey(t)}, pending, tlog.ErrLogExists},
		"key":           {tlog.Config{Name: "b", Origin: "b.example", Signer: key}, pending, tlog.ErrLogExists},
		"tree id":       {tlog.Config{Name: "b", Origin: "b.example", Signer: newKey(t)}, tlog.Birth{Kind: tlog.V2, TreeID: 1, State: tlog.Pending}, tlog.ErrLogExists},
		"second active": {tlog.Config{Name: "b", Origin: "b.example", Signer: newKey(t)}, tlog.Birth{Kind: tlog.V2, TreeID: 2, State: tlog.Active}, tlog.ErrLogExists},
	} {
		if err := tlog.Create(t.Context(), st, tc.cfg, tc.birth); !errors.Is(err, tc.err) {
			t.Errorf("the same %s: %v", name, err)
		}
	}
	if err := tlog.Create(t.Context(), st, tlog.Config{Name: "b", Origin: "b.example", Signer: newKey(t)}, pending); err != nil {
		t.Error(err)
	}
	seen := make(map[int64]bool)
	for range 100 {
		if id := tlog.NewTreeID(); id < 1 || seen[id] {
			t.Errorf("tree id %d", id)
		} else {
			seen[id] = true
		}
	}
}

// lyingKey signs with another key than it shows.
type lyingKey struct {
	crypto.Signer
	shown crypto.Signer
}

func (k lyingKey) Public() crypto.PublicKey { return k.shown.Public() }

// Whatever is done to a signed checkpoint, it says what was signed or nothing.
func FuzzParseCheckpoint(f *testing.F) {
	type signedBy struct {
		text, origin string
		key          crypto.PublicKey
		want         tlog.Checkpoint
	}
	var logs []signedBy
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	for _, l := range []struct {
		origin string
		key    crypto.Signer
		birth  tlog.Birth
	}{
		{origin, ed, birth},
		{origin + " - 17", newKey(f), tlog.Birth{Kind: tlog.V1, TreeID: 17, State: tlog.Active}},
	} {
		st, cfg := storagetest.NewMemory(), tlog.Config{Name: "log", Origin: l.origin, Signer: l.key}
		if err := tlog.Create(f.Context(), st, cfg, l.birth); err != nil {
			f.Fatal(err)
		}
		in, err := load(f, st, cfg).Append(f.Context(), leaf(1))
		if err != nil {
			f.Fatal(err)
		}
		want, err := tlog.ParseCheckpoint(in.Checkpoint, l.origin, l.key.Public())
		if err != nil {
			f.Fatal(err)
		}
		text := string(in.Checkpoint)
		logs = append(logs, signedBy{text, l.origin, l.key.Public(), want})
		f.Add(0, text)
		f.Add(len(l.origin)+1, "9")
		f.Add(0, "other.example\n1\n")
		f.Add(len(text), text)
		f.Add(len(text)-2, "\n")
		f.Add(len(text), text[strings.LastIndex(text[:len(text)-1], "\n")+1:])
		f.Add(0, strings.Replace(text, "\n1\n", "\n01\n", 1))
		f.Add(0, strings.Replace(text, "=\n\n", "=\nmore\n\n", 1))
	}
	f.Fuzz(func(t *testing.T, at int, replacement string) {
		for i, l := range logs {
			at := max(0, min(at, len(l.text)))
			mutated := l.text[:at] + replacement + l.text[min(len(l.text), at+len(replacement)):]
			got, err := tlog.ParseCheckpoint([]byte(mutated), l.origin, l.key)
			if err == nil && got != l.want {
				t.Errorf("%q says %+v", mutated, got)
			}
			if err == nil && i == 1 && strings.Count(mutated, "\u2014") != 1 {
				t.Errorf("%q has not one signature", mutated)
			}
			if other := logs[1-i]; err == nil {
				if _, err := tlog.ParseCheckpoint([]byte(mutated), other.origin, other.key); err == nil {
					t.Errorf("%q is a checkpoint of both logs", mutated)
				}
			}
		}
	})
}

// Whatever an origin is, if it can be used, it says whose checkpoint it is.
func FuzzOrigin(f *testing.F) {
	key := newKey(f)
	for _, s := range []string{origin, origin + " - 1", "a - 2 - 1", " - 1", "a - 01", "a -  1", "a\u00a0b", "a - 9223372036854775808", "a+b", "a\n - 1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := tlog.KeyID(s, key.Public()); err != nil {
			return
		}
		st, cfg := storagetest.NewMemory(), tlog.Config{Name: "log", Origin: s, Signer: key}
		b := tlog.Birth{Kind: tlog.V2, TreeID: 1, State: tlog.Active}
		if host, id, isV1 := strings.Cut(s, " - "); isV1 {
			n, err := strconv.ParseInt(id, 10, 64)
			if err != nil || n < 1 || host == "" {
				t.Fatalf("origin %q: %v", s, err)
			}
			b.Kind, b.TreeID = tlog.V1, n
		}
		if err := tlog.Create(t.Context(), st, cfg, b); err != nil {
			t.Fatalf("origin %q: %v", s, err)
		}
		row, err := st.Log(t.Context(), "log")
		if err != nil {
			t.Fatal(err)
		}
		if c, err := tlog.ParseCheckpoint(row.Head.Checkpoint, s, key.Public()); err != nil || c.Origin != s {
			t.Errorf("origin %q: %+v, %v", s, c, err)
		}
	})
}

// Texts that the right key signed, and that are no checkpoint of this log.
func TestSignedButNotACheckpoint(t *testing.T) {
	skey, vkey, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	_, encoded, _ := strings.Cut(strings.TrimPrefix(vkey, origin+"+"), "+")
	pub := ed25519.PublicKey(decode(t, encoded)[1:])
	root := tlog.Checkpoint{}.Root.String()
	for text, want := range map[string]bool{
		origin + "\n7\n" + root + "\n":                   true,
		"other.example\n7\n" + root + "\n":               false,
		origin + " - 1\n7\n" + root + "\n":               false,
		origin + "\n07\n" + root + "\n":                  false,
		origin + "\n+7\n" + root + "\n":                  false,
		origin + "\n-7\n" + root + "\n":                  false,
		origin + "\n\n" + root + "\n":                    false,
		origin + "\n9223372036854775808\n" + root + "\n": false,
		origin + "\n7\n" + root[:40] + "\n":              false,
		origin + "\n7\n" + root[:42] + "B=\n":            false,
		origin + "\n7\n" + root + "\nextension\n":        false,
		origin + "\n7\n":                                 false,
	} {
		signed, err := note.Sign(&note.Note{Text: text}, signer)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tlog.ParseCheckpoint(signed, origin, pub); (err == nil) != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}
