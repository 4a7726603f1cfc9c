// SPDX-License-Identifier: Apache-2.0

package trustroot

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
)

// LegacyTarget is a file for clients from before trusted_root.json. They look
// in a TUF repository for keys one by one, by a usage in the target's metadata
// and, of time-stamping authorities, by name.
type LegacyTarget struct {
	Name    string
	Content []byte // PEM
	// Usage is Fulcio, Rekor, CTFE or TSA.
	Usage string
	URL   string
	// Ended says that it is for old signatures only.
	Ended bool
}

// LegacyTargets lists every key of the material for old clients. Of Rekor they
// know the v1 API only and take any ECDSA key for one of it, which does no
// harm. Of several time-stamping authorities they know one: the newest.
func (m Material) LegacyTargets() ([]LegacyTarget, error) {
	var targets []LegacyTarget
	for i, a := range m.CertificateAuthorities {
		for _, cert := range a.Chain {
			name := "fulcio_intermediate_v1"
			if cert == a.Chain[len(a.Chain)-1] {
				name = "fulcio_v1"
			}
			t := LegacyTarget{Name: numbered(name, i, ".crt.pem"), Content: encodeCertificate(cert), Usage: "Fulcio", URL: a.URL.String(), Ended: !a.End.IsZero()}
			// One root may have certified several authorities.
			if !slices.ContainsFunc(targets, func(known LegacyTarget) bool { return string(known.Content) == string(t.Content) }) {
				targets = append(targets, t)
			}
		}
	}
	for _, list := range []struct {
		logs        []Log
		name, usage string
	}{{m.Logs, "rekor", "Rekor"}, {m.CertificateLogs, "ctfe", "CTFE"}} {
		for i, log := range list.logs {
			if _, ok := log.Key.(*ecdsa.PublicKey); !ok {
				continue
			}
			der, err := x509.MarshalPKIXPublicKey(log.Key)
			if err != nil {
				return nil, fmt.Errorf("legacy target %s: %w", list.name, err)
			}
			targets = append(targets, LegacyTarget{
				Name: numbered(list.name, i, ".pub"), Content: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
				Usage: list.usage, URL: log.URL.String(), Ended: !log.End.IsZero(),
			})
		}
	}
	return append(targets, m.legacyTSA()...), nil
}

func (m Material) legacyTSA() []LegacyTarget {
	if len(m.TimestampAuthorities) == 0 {
		return nil
	}
	a := m.TimestampAuthorities[0]
	for _, other := range m.TimestampAuthorities {
		if other.Start.After(a.Start) {
			a = other
		}
	}
	var targets []LegacyTarget
	for i, cert := range a.Chain {
		name := fmt.Sprintf("tsa_intermediate_%d.crt.pem", i-1)
		switch i {
		case 0:
			name = "tsa_leaf.crt.pem"
		case len(a.Chain) - 1:
			name = "tsa_root.crt.pem"
		}
		targets = append(targets, LegacyTarget{Name: name, Content: encodeCertificate(cert), Usage: "TSA", URL: a.URL.String(), Ended: !a.End.IsZero()})
	}
	return targets
}

// numbered leaves the first its plain name.
func numbered(name string, i int, extension string) string {
	if i == 0 {
		return name + extension
	}
	return fmt.Sprintf("%s_%d%s", name, i+1, extension)
}

func encodeCertificate(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}
