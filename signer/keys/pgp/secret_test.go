// SPDX-License-Identifier: Apache-2.0

package pgp

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/ProtonMail/go-crypto/openpgp/s2k"
)

// theirs is how the keys of these tests are made: by another library's own
// constructors, as somebody else would.
func theirs(algorithm packet.PublicKeyAlgorithm, bits int, at time.Time) *packet.Config {
	return &packet.Config{Algorithm: algorithm, RSABits: bits, Curve: packet.CurveNistP256, Time: func() time.Time { return at }}
}

func newEntity(t *testing.T, c *packet.Config) *openpgp.Entity {
	t.Helper()
	e, err := openpgp.NewEntity("Acme release", "", "release@acme.example", c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// exported writes a secret key as it is.
func exported(t *testing.T, e *openpgp.Entity) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := e.SerializePrivateWithoutSigning(&out, nil); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func armoured(t *testing.T, kind string, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := armor.EncodeWithChecksumOption(&out, kind, nil, true) // as GnuPG does
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	out.WriteByte('\n')
	return out.Bytes()
}

// The key of somebody else keeps its fingerprint, and what it signed before and
// signs now verifies with either ring.
func TestImport(t *testing.T) {
	for name, c := range map[string]*packet.Config{
		"RSA": theirs(packet.PubKeyAlgoRSA, 3072, birth), "ECDSA": theirs(packet.PubKeyAlgoECDSA, 0, birth),
	} {
		c.KeyLifetimeSecs = 3600 * 24 * 365
		e := newEntity(t, c)
		name40 := fingerprint(e.PrimaryKey)
		var theirRing bytes.Buffer
		if err := e.Serialize(&theirRing); err != nil {
			t.Fatal(err)
		}
		if err := e.EncryptPrivateKeys([]byte("open sesame"), &packet.Config{S2KConfig: &s2k.Config{S2KMode: s2k.IteratedSaltedS2K, S2KCount: 1 << 16}}); err != nil {
			t.Fatal(err)
		}
		file := armoured(t, openpgp.PrivateKeyType, exported(t, e))
		if _, err := ReadSecret(file, nil, birth.Add(time.Hour)); !errors.Is(err, ErrPassphrase) {
			t.Errorf("%s: no passphrase: %v", name, err)
		}
		if _, err := ReadSecret(file, []byte("sesame"), birth.Add(time.Hour)); !errors.Is(err, ErrPassphrase) {
			t.Errorf("%s: wrong passphrase: %v", name, err)
		}
		s, err := ReadSecret(file, []byte("open sesame"), birth.Add(time.Hour))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := Identity{UserID: "Acme release <release@acme.example>", Created: birth, Expires: birth.Add(365 * 24 * time.Hour)}
		if s.Identity != want || s.Fingerprint != name40 || len(s.LeftOut) != 1 || !strings.Contains(s.LeftOut[0], "1 subkeys") {
			t.Errorf("%s: %+v", name, s)
		}
		ring, err := NewRing(remote{s.Key}, s.Identity)
		if err != nil {
			t.Fatal(err)
		}
		key, err := Open(remote{s.Key}, ring)
		if err != nil {
			t.Fatal(err)
		}
		if key.Fingerprint() != name40 {
			t.Errorf("%s: the fingerprint is %s, was %s", name, key.Fingerprint(), name40)
		}
		signed, err := key.ClearSign(text, birth.Add(2*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		old, err := openpgp.ReadKeyRing(&theirRing)
		if err != nil {
			t.Fatal(err)
		}
		if err := (&Certificate{entity: old[0]}).Check(signed, text, birth.Add(2*time.Hour)); err != nil {
			t.Errorf("%s: by the ring from before: %v", name, err)
		}
	}
}

// Each key that cannot be taken over is refused, and the refusal says why.
func TestImportRefusals(t *testing.T) {
	good := newEntity(t, theirs(packet.PubKeyAlgoECDSA, 0, birth))
	later := birth.Add(time.Hour)
	change := func(f func(e *openpgp.Entity, c *packet.Config)) []byte {
		t.Helper()
		c := theirs(packet.PubKeyAlgoECDSA, 0, birth)
		e := newEntity(t, c)
		f(e, c)
		return exported(t, e)
	}
	var public bytes.Buffer
	if err := good.Serialize(&public); err != nil {
		t.Fatal(err)
	}
	secret := exported(t, good)
	for name, tc := range map[string]struct {
		file []byte
		says string
	}{
		"empty":           {nil, "no key in the file"},
		"junk":            {[]byte("junk"), "cannot be imported"},
		"large":           {make([]byte, MaxSecret+1), "the limit is"},
		"a public key":    {public.Bytes(), "it is a public key"},
		"a public armour": {armoured(t, openpgp.PublicKeyType, public.Bytes()), "it is a PGP PUBLIC KEY BLOCK"},
		"a message":       {armoured(t, "PGP MESSAGE", []byte("x")), "it is a PGP MESSAGE"},
		"two keys":        {append(bytes.Clone(secret), secret...), "more than one key"},
		"two armours":     {bytes.Repeat(armoured(t, openpgp.PrivateKeyType, secret), 2), "something follows"},
		"truncated":       {secret[:len(secret)/3], "cannot be imported"},
		"RSA 2048":        {exported(t, newEntity(t, theirs(packet.PubKeyAlgoRSA, 2048, birth))), "RSA key of 2048 bits"},
		"Ed25519":         {exported(t, newEntity(t, &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return birth }})), "EdDSA"},
		"of the future":   {exported(t, newEntity(t, theirs(packet.PubKeyAlgoECDSA, 0, birth.AddDate(1, 0, 0)))), "which is to come"},
		"a signing subkey": {change(func(e *openpgp.Entity, c *packet.Config) {
			if err := e.AddSigningSubkey(c); err != nil {
				t.Fatal(err)
			}
		}), "which signs"},
		"revoked": {change(func(e *openpgp.Entity, c *packet.Config) {
			if err := e.RevokeKey(packet.KeyCompromised, "lost", c); err != nil {
				t.Fatal(err)
			}
		}), "it is revoked"},
		"certifies only": {change(func(e *openpgp.Entity, c *packet.Config) {
			for _, id := range e.Identities {
				id.SelfSignature.FlagSign = false
				if err := id.SelfSignature.SignUserId(id.UserId.Id, e.PrimaryKey, e.PrivateKey, c); err != nil {
					t.Fatal(err)
				}
			}
		}), "does not sign, subkeys do"},
		"memory": {change(func(e *openpgp.Entity, _ *packet.Config) {
			if err := e.EncryptPrivateKeys([]byte("p"), &packet.Config{AEADConfig: &packet.AEADConfig{}, S2KConfig: &s2k.Config{S2KMode: s2k.Argon2S2K, Argon2Config: &s2k.Argon2Config{NumberOfPasses: 1, DegreeOfParallelism: 1, Memory: 64}}}); err != nil {
				t.Fatal(err)
			}
		}), "as much memory as the file says"},
	} {
		if _, err := ReadSecret(tc.file, []byte("p"), later); !errors.Is(err, ErrImport) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v, want %q", name, err, tc.says)
		}
	}
	if _, err := ReadSecret(secret, nil, later); err != nil {
		t.Errorf("the key of which these are changes: %v", err)
	}
}

// Another secret number under a public key is seen, and so are user ids that are
// no text.
func TestImportHostile(t *testing.T) {
	one, two := newEntity(t, theirs(packet.PubKeyAlgoECDSA, 0, birth)), newEntity(t, theirs(packet.PubKeyAlgoECDSA, 0, birth))
	one.PrivateKey.PrivateKey = two.PrivateKey.PrivateKey
	if s, err := ReadSecret(exported(t, one), nil, birth.Add(time.Hour)); err == nil {
		t.Errorf("another secret: %+v", s)
	}
	for _, name := range []string{"caf\xe9", strings.Repeat("long ", 100), "two\nlines"} {
		c := theirs(packet.PubKeyAlgoECDSA, 0, birth)
		e := newEntity(t, c)
		for key, id := range e.Identities {
			id.UserId = &packet.UserId{Id: name}
			id.Name = name
			if err := id.SelfSignature.SignUserId(name, e.PrimaryKey, e.PrivateKey, c); err != nil {
				t.Fatal(err)
			}
			delete(e.Identities, key)
			e.Identities[name] = id
		}
		s, err := ReadSecret(exported(t, e), nil, birth.Add(time.Hour))
		if err != nil {
			t.Fatalf("%.20q: %v", name, err)
		}
		// The caller gives it another name, or is told.
		if _, err := NewRing(remote{s.Key}, s.Identity); err == nil || !strings.Contains(err.Error(), "want one line of UTF-8") {
			t.Errorf("%.20q: %v", name, err)
		}
		id := s.Identity
		id.UserID = who.UserID
		if ring, err := NewRing(remote{s.Key}, id); err != nil {
			t.Error(err)
		} else if c, err := ReadCertificate(ring); err != nil || c.Fingerprint() != s.Fingerprint {
			t.Errorf("%v", err)
		}
	}
}

// FuzzReadSecret: whatever is read is a key that was proven to be whole.
func FuzzReadSecret(f *testing.F) {
	e, err := openpgp.NewEntity("a", "", "a@b.example", theirs(packet.PubKeyAlgoECDSA, 0, birth))
	if err != nil {
		f.Fatal(err)
	}
	var out bytes.Buffer
	if err := e.SerializePrivateWithoutSigning(&out, nil); err != nil {
		f.Fatal(err)
	}
	f.Add(out.Bytes())
	f.Add([]byte("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n-----END PGP PRIVATE KEY BLOCK-----"))
	f.Fuzz(func(t *testing.T, file []byte) {
		s, err := ReadSecret(file, nil, birth.Add(time.Hour))
		if err != nil {
			if !errors.Is(err, ErrImport) && !errors.Is(err, ErrPassphrase) {
				t.Errorf("an error without a name: %v", err)
			}
			return
		}
		digest := make([]byte, 32)
		if _, err := s.Key.Sign(rand.Reader, digest, crypto.SHA256); err != nil {
			t.Error(err)
		}
		if _, err := publicKey(s.Key.Public(), s.Identity.Created); err != nil || s.Identity.Created.After(birth.Add(time.Hour)) {
			t.Errorf("%+v, %v", s, err)
		}
	})
}
