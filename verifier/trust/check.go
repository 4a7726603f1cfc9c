// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/rekor-tiles/v2/pkg/note"
)

// keyIDBytes is the length of a log's key id: a SHA-256.
const keyIDBytes = 32

// check refuses what sigstore-go's parser lets through: it takes an authority without a window for one that was always in use, keeps
// the last of two logs with one id, and compares neither key ids nor chains.
func check(pb *prototrustroot.TrustedRoot) error {
	if pb.GetMediaType() != MediaType {
		return fmt.Errorf("media type is %q, must be %q", pb.GetMediaType(), MediaType)
	}
	if len(pb.GetTlogs()) == 0 || len(pb.GetCertificateAuthorities()) == 0 {
		return errors.New("needs at least one entry in tlogs and one in certificateAuthorities: without them nothing can ever verify")
	}
	if err := checkLogs("tlogs", pb.GetTlogs()); err != nil {
		return err
	}
	if err := checkLogs("ctlogs", pb.GetCtlogs()); err != nil {
		return err
	}
	if err := checkAuthorities("certificateAuthorities", pb.GetCertificateAuthorities()); err != nil {
		return err
	}
	return checkAuthorities("timestampAuthorities", pb.GetTimestampAuthorities())
}

func checkLogs(list string, logs []*prototrustroot.TransparencyLogInstance) error {
	if len(logs) > MaxAuthorities {
		return fmt.Errorf("%s: more than %d entries", list, MaxAuthorities)
	}
	seen := make(map[string]int)
	for i, l := range logs {
		at := fmt.Sprintf("%s[%d]", list, i)
		if err := checkWindow(at+".publicKey", l.GetPublicKey().GetValidFor()); err != nil {
			return err
		}
		base, err := url.Parse(l.GetBaseUrl())
		if err != nil {
			return fmt.Errorf("%s.baseUrl: %w", at, err)
		}
		id := l.GetLogId().GetKeyId()
		if first, twice := seen[string(id)]; twice {
			return fmt.Errorf("%s and %s[%d] have the same key id: clients would keep only one of them (hint: every log needs a key of its own)", at, list, first)
		}
		seen[string(id)] = i
		if err := checkKeyID(id, l.GetPublicKey().GetRawBytes(), base.Hostname()); err != nil {
			return fmt.Errorf("%s.logId: %w", at, err)
		}
	}
	return nil
}

// checkKeyID compares a key id with the key. The id is the hash of the key; an Ed25519 or RSA log of the second kind may use the note key
// id of C2SP signed-note instead, which includes the log's name.
func checkKeyID(id, spki []byte, origin string) error {
	if len(id) != keyIDBytes {
		return fmt.Errorf("key id has %d bytes, must have %d", len(id), keyIDBytes)
	}
	sum := sha256.Sum256(spki)
	if bytes.Equal(id, sum[:]) {
		return nil
	}
	if key, err := x509.ParsePKIXPublicKey(spki); err == nil {
		if _, noteID, err := note.KeyHash(origin, key); err == nil && bytes.Equal(id, noteID) {
			return nil
		}
	}
	return fmt.Errorf("key id %x does not belong to the public key beside it, whose id is %x", id, sum)
}

func checkAuthorities(list string, authorities []*prototrustroot.CertificateAuthority) error {
	if len(authorities) > MaxAuthorities {
		return fmt.Errorf("%s: more than %d entries", list, MaxAuthorities)
	}
	for i, a := range authorities {
		at := fmt.Sprintf("%s[%d]", list, i)
		if err := checkWindow(at, a.GetValidFor()); err != nil {
			return err
		}
		if err := checkChain(a.GetCertChain().GetCertificates()); err != nil {
			return fmt.Errorf("%s.certChain: %w", at, err)
		}
	}
	return nil
}

// checkChain wants each certificate signed by the next one, and the last one by itself.
func checkChain(chain []*protocommon.X509Certificate) error {
	if len(chain) == 0 || len(chain) > MaxChain {
		return fmt.Errorf("has %d certificates, must have 1 to %d", len(chain), MaxChain)
	}
	certs := make([]*x509.Certificate, len(chain))
	for i, c := range chain {
		cert, err := x509.ParseCertificate(c.GetRawBytes())
		if err != nil {
			return fmt.Errorf("certificate %d: %w", i, err)
		}
		certs[i] = cert
	}
	for i, cert := range certs {
		issuer := certs[min(i+1, len(certs)-1)]
		if err := cert.CheckSignatureFrom(issuer); err != nil {
			return fmt.Errorf("certificate %d (%s) is not signed by the next one: %w (hint: order is issuing certificate first, root last)", i, cert.Subject, err)
		}
	}
	return nil
}

func checkWindow(at string, r *protocommon.TimeRange) error {
	if r.GetStart() == nil {
		return fmt.Errorf("%s.validFor.start is missing: without it the key would count for all of the past", at)
	}
	if err := r.GetStart().CheckValid(); err != nil {
		return fmt.Errorf("%s.validFor.start: %w", at, err)
	}
	if r.GetEnd() == nil {
		return nil
	}
	if err := r.GetEnd().CheckValid(); err != nil {
		return fmt.Errorf("%s.validFor.end: %w", at, err)
	}
	if r.GetEnd().AsTime().Before(r.GetStart().AsTime()) {
		return fmt.Errorf("%s.validFor ends before it starts", at)
	}
	return nil
}
