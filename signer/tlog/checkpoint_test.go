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

// lyingKey signs with another key than it shows.
type lyingKey struct {
	crypto.Signer
	shown crypto.Signer
}

func (k lyingKey) Public() crypto.PublicKey { return k.shown.Public() }

// Whatever is done to a signed checkpoint, it says what was signed or nothing.
func FuzzParseCheckpoint(f *testing.F) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	l := create(f, storagetest.NewMemory(), tlog.Config{Name: "v2", Origin: origin, Signer: key})
	if _, err := l.Append(f.Context(), leaf(1)); err != nil {
		f.Fatal(err)
	}
	signed, err := l.Checkpoint(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	want, err := tlog.ParseCheckpoint(signed, origin, key.Public())
	if err != nil {
		f.Fatal(err)
	}
	text := string(signed)
	f.Add(0, text)
	f.Add(len(origin)+1, "9")
	f.Add(0, "other.example\n1\n")
	f.Add(len(text), text)
	f.Add(len(text)-2, "\n")
	f.Add(0, strings.Replace(text, "\n1\n", "\n01\n", 1))
	f.Add(0, strings.Replace(text, "=\n\n", "=\nmore\n\n", 1))
	f.Fuzz(func(t *testing.T, at int, replacement string) {
		at = max(0, min(at, len(text)))
		mutated := text[:at] + replacement + text[min(len(text), at+len(replacement)):]
		got, err := tlog.ParseCheckpoint([]byte(mutated), origin, key.Public())
		if err == nil && got != want {
			t.Errorf("%q says %+v", mutated, got)
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
