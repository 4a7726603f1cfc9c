// SPDX-License-Identifier: Apache-2.0

package pgp

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
)

// remote is a key of which only the signing is to be had, as one in a KMS.
type remote struct{ key crypto.Signer }

func (r remote) Public() crypto.PublicKey { return r.key.Public() }
func (r remote) SignOpenPGP(digest []byte) ([]byte, error) {
	return r.key.Sign(rand.Reader, digest, crypto.SHA256)
}

var (
	birth = time.Date(2026, 12, 1, 3, 0, 0, 0, time.UTC)
	who   = Identity{UserID: "Acme charts <charts@acme.example>", Created: birth}
)

const text = "apiVersion: v2\nname: app  \n- dashed\n\n...\nfiles:\n  app-1.0.0.tgz: sha256:00\n"

// twoSets are two keys of each kind for all tests: making RSA takes a second.
var twoSets = sync.OnceValues(func() (sets [2]map[string]crypto.Signer, err error) {
	for i := range sets {
		p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return sets, err
		}
		rsaKey, err := rsa.GenerateKey(rand.Reader, 3072)
		if err != nil {
			return sets, err
		}
		sets[i] = map[string]crypto.Signer{"p256": p256, "rsa": rsaKey}
	}
	return sets, nil
})

func newKeys(t *testing.T) map[string]crypto.Signer {
	t.Helper()
	sets, err := twoSets()
	if err != nil {
		t.Fatal(err)
	}
	return sets[0]
}

// otherKeys are other keys of the same kinds.
func otherKeys(t *testing.T) map[string]crypto.Signer {
	t.Helper()
	newKeys(t)
	sets, _ := twoSets() // it has not failed above
	return sets[1]
}

// Every kind of key, held by somebody else, gives what a stranger verifies with
// the binary ring alone.
func TestSignAndVerify(t *testing.T) {
	for name, key := range newKeys(t) {
		ring, err := NewRing(remote{key}, who)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		k, err := Open(remote{key}, ring)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if id := k.Identity(); id != who {
			t.Errorf("%s: identity %+v", name, id)
		}
		signed, err := k.ClearSign(text, birth.Add(time.Hour))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		entities, err := openpgp.ReadKeyRing(bytes.NewReader(ring))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := clearsign.Decode(signed)
		if _, err := openpgp.CheckDetachedSignature(entities, bytes.NewReader(block.Bytes), block.ArmoredSignature.Body, config(birth.Add(time.Hour))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !bytes.Contains(signed, []byte("\n=")) {
			t.Errorf("%s: the armour has no checksum, and GnuPG 2.2 takes offence:\n%s", name, signed)
		}
		// What a log keeps of it makes the same file again.
		_, rest, _ := bytes.Cut(signed, []byte("-----BEGIN PGP SIGNATURE"))
		armoured := append([]byte("-----BEGIN PGP SIGNATURE"), rest...)
		again, err := k.Rejoin(text, armoured, birth.Add(2*time.Hour))
		if err != nil || !bytes.Equal(again, signed) {
			t.Errorf("%s: rejoined %v\n%s\nwant\n%s", name, err, again, signed)
		}
		for what, wrong := range map[string]string{"another text": text + "more\n", "a changed text": "x" + text[1:]} {
			if _, err := k.Rejoin(wrong, armoured, birth); !errors.Is(err, ErrSignature) {
				t.Errorf("%s: %s: %v", name, what, err)
			}
			if err := k.Check(signed, wrong, birth.Add(time.Hour)); !errors.Is(err, ErrSignature) {
				t.Errorf("%s: checked against %s: %v", name, what, err)
			}
		}
	}
}

// away is a key whose KMS does not answer, or signs with something else.
type away struct {
	remote
	err   error
	other crypto.Signer
}

var errAway = errors.New("the KMS does not answer")

func (a away) SignOpenPGP(digest []byte) ([]byte, error) {
	if a.err != nil {
		return nil, a.err
	}
	return a.other.Sign(rand.Reader, digest, crypto.SHA256)
}

// What keeps a key from signing is said, for each kind; and a signature by
// another key, by another hash or with another padding is not returned.
func TestSignerFails(t *testing.T) {
	others := otherKeys(t)
	for name, key := range newKeys(t) {
		ring, err := NewRing(remote{key}, who)
		if err != nil {
			t.Fatal(err)
		}
		for what, broken := range map[string]Signer{
			"away": away{remote{key}, errAway, nil}, "another key": away{remote{key}, nil, others[name]},
			"another padding or hash": odd{remote{key}},
		} {
			k, err := Open(broken, ring)
			if err != nil {
				t.Fatal(err)
			}
			signed, err := k.ClearSign(text, birth.Add(time.Hour))
			if err == nil || signed != nil || (what == "away") != errors.Is(err, errAway) || (what != "away") != errors.Is(err, ErrSignature) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
			if _, err := NewRing(broken, who); err == nil || (what == "away") != errors.Is(err, errAway) {
				t.Errorf("%s, %s: certified, %v", name, what, err)
			}
		}
	}
}

// odd signs RSA with PSS, and anything else over another digest.
type odd struct{ remote }

func (o odd) SignOpenPGP(digest []byte) ([]byte, error) {
	if key, ok := o.key.(*rsa.PrivateKey); ok {
		return rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest, nil)
	}
	other := sha512.Sum512_256(digest)
	return o.remote.SignOpenPGP(other[:])
}

// The fingerprint is that of key and time of birth, whatever the certificate
// says; and a ring of another key is an error.
func TestFingerprint(t *testing.T) {
	all := newKeys(t)
	open := func(key crypto.Signer, id Identity) *Key {
		t.Helper()
		ring, err := NewRing(remote{key}, id)
		if err != nil {
			t.Fatal(err)
		}
		k, err := Open(remote{key}, ring)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	first := open(all["p256"], who)
	renewed := open(all["p256"], Identity{UserID: "Acme <a@acme.example>", Created: birth, Expires: birth.AddDate(3, 0, 0)})
	if first.Fingerprint() != renewed.Fingerprint() || len(first.Fingerprint()) != 40 {
		t.Errorf("%s is not %s", first.Fingerprint(), renewed.Fingerprint())
	}
	if !renewed.Identity().Expires.Equal(birth.AddDate(3, 0, 0)) {
		t.Errorf("expires %s", renewed.Identity().Expires)
	}
	if other := open(all["p256"], Identity{UserID: who.UserID, Created: birth.Add(time.Second)}); other.Fingerprint() == first.Fingerprint() {
		t.Error("another birth, the same fingerprint")
	}
	if _, err := Open(remote{all["rsa"]}, first.Ring()); !errors.Is(err, ErrOtherKey) {
		t.Errorf("another key: %v", err)
	}
	if _, err := renewed.ClearSign(text, birth.AddDate(4, 0, 0)); err == nil {
		t.Error("an expired key signs")
	}
	if _, err := renewed.ClearSign(text, birth.Add(-time.Minute)); err == nil || !strings.Contains(err.Error(), "is the clock right?") {
		t.Errorf("a key of the future signs: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.Signer{"RSA 2048": weak, "Ed25519": ed, "P-384": p384} {
		if _, err := NewRing(remote{key}, who); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, id := range map[string]Identity{
		"no user id": {Created: birth}, "two lines": {UserID: "a\nb", Created: birth}, "no UTF-8": {UserID: "caf\xe9", Created: birth},
		"long": {UserID: strings.Repeat("a", maxUserID+1), Created: birth}, "no birth": {UserID: "a"},
		"expired before": {UserID: "a", Created: birth, Expires: birth.Add(-time.Hour)},
	} {
		if _, err := NewRing(remote{key}, id); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for name, ring := range map[string][]byte{"empty": nil, "junk": []byte("junk")} {
		if _, err := Open(remote{key}, ring); !errors.Is(err, ErrRing) {
			t.Errorf("%s ring: %v", name, err)
		}
	}
}
