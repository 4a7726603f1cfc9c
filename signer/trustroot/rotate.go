// SPDX-License-Identifier: Apache-2.0

package trustroot

import (
	"bytes"
	"crypto"
	"time"
)

// WithCertificateAuthority returns the material with an authority, unless its
// issuing certificate is known.
func (m Material) WithCertificateAuthority(a Authority) Material {
	m.CertificateAuthorities = withAuthority(m.CertificateAuthorities, a)
	return m
}

// WithTimestampAuthority is WithCertificateAuthority for time-stamping ones.
func (m Material) WithTimestampAuthority(a Authority) Material {
	m.TimestampAuthorities = withAuthority(m.TimestampAuthorities, a)
	return m
}

// WithCertificateLog returns the material with a certificate log, unless its key
// is known.
func (m Material) WithCertificateLog(l Log) Material {
	if windowsOf(m.CertificateLogs, l.Key) == nil {
		m.CertificateLogs = append(append([]Log(nil), m.CertificateLogs...), l)
	}
	return m
}

func withAuthority(list []Authority, a Authority) []Authority {
	for _, known := range list {
		if bytes.Equal(known.Chain[0].Raw, a.Chain[0].Raw) {
			return list
		}
	}
	return append(append([]Authority(nil), list...), a)
}

// Ended returns the material with the window of an authority's or certificate
// log's key ended at a time. What was made before is as good as ever. A window
// that has an end keeps it.
func (m Material) Ended(key crypto.PublicKey, at time.Time) Material {
	end := func(w *Window) {
		if w.End.IsZero() {
			w.End = at
		}
	}
	m.CertificateAuthorities = append([]Authority(nil), m.CertificateAuthorities...)
	m.TimestampAuthorities = append([]Authority(nil), m.TimestampAuthorities...)
	m.CertificateLogs = append([]Log(nil), m.CertificateLogs...)
	for _, list := range [][]Authority{m.CertificateAuthorities, m.TimestampAuthorities} {
		for i := range list {
			if sameKey(list[i].Chain[0].PublicKey, key) {
				end(&list[i].Window)
			}
		}
	}
	for i := range m.CertificateLogs {
		if sameKey(m.CertificateLogs[i].Key, key) {
			end(&m.CertificateLogs[i].Window)
		}
	}
	return m
}
