// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"
)

// Certificates is what the log asks of certificates that were issued on request
// (signer.CertificateRecord keeps them).
type Certificates interface {
	// UseCertificate lets the holder of a certificate log one signature, once in
	// a log of each kind ("v1", "v2"): it returns true, and remembers, if the
	// certificate was recorded and neither another signature was logged with it
	// nor another leaf of this one in a log of that kind. The same again is true
	// again. It is one durable transaction, so that of two calls at a time, in
	// whatever processes, one decides.
	UseCertificate(ctx context.Context, certificate, signature [sha256.Size]byte, kind string, leaf [sha256.Size]byte) (bool, error)
}

// CertificateKept is for how long a certificate is remembered beyond its end:
// until every clock agrees that it has ended.
const CertificateKept = 24 * time.Hour

// LeafColumn is the column of a kind of log. Kinds come from the program, not
// from requests; a new one needs a column.
func LeafColumn(kind string) (string, error) {
	if kind != "v1" && kind != "v2" {
		return "", fmt.Errorf("use certificate: no column for logs of kind %q", kind)
	}
	return kind, nil
}
