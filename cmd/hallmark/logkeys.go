// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net/url"
	"sort"
	"strconv"
	"strings"

	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/verifier/trust"
)

// logKey is a transparency log of the trusted root.
type logKey struct {
	id      string // lower-case hex of the 32-byte key id
	spki    [sha256.Size]byte
	public  crypto.PublicKey
	baseURL string
}

// logKeys are the logs that are believed, ordered by base URL and id.
type logKeys struct{ all []logKey }

func newLogKeys(root *trust.Root) (*logKeys, error) {
	keys := &logKeys{}
	for id, l := range root.Material().RekorLogs() {
		der, err := x509.MarshalPKIXPublicKey(l.PublicKey)
		if err != nil {
			return nil, fmt.Errorf("key of log %s: %w", l.BaseURL, err)
		}
		keys.all = append(keys.all, logKey{id: id, spki: sha256.Sum256(der), public: l.PublicKey, baseURL: l.BaseURL})
	}
	sort.Slice(keys.all, func(i, j int) bool {
		a, b := keys.all[i], keys.all[j]
		return a.baseURL < b.baseURL || (a.baseURL == b.baseURL && a.id < b.id)
	})
	return keys, nil
}

// byID finds a log by its key id.
func (k *logKeys) byID(id []byte) (logKey, bool) {
	for _, l := range k.all {
		if l.id == hex.EncodeToString(id) {
			return l, true
		}
	}
	return logKey{}, false
}

// checkpoint is a signed note whose signature was verified with a key of the
// trusted root.
type checkpoint struct {
	tlog.Checkpoint
	key    logKey
	signed []byte
}

// treeID is the tree id in a v1 log's origin, decimal; empty for other logs.
func (c checkpoint) treeID() string {
	id, isV1 := tlog.TreeIDOf(c.Origin)
	if !isV1 {
		return ""
	}
	return strconv.FormatInt(id, 10)
}

// open verifies a checkpoint. Which key has to have signed it follows from the
// note: its 4-byte hint is in the signature line.
func (k *logKeys) open(signed []byte) (checkpoint, error) {
	first, _, _ := bytes.Cut(signed, []byte("\n"))
	origin := string(first)
	reasons := []error{}
	for _, l := range k.all {
		c, err := tlog.ParseCheckpoint(signed, origin, l.public)
		if err != nil {
			reasons = append(reasons, err)
			continue
		}
		// Rekor v2 logs have the host name of their URL, Rekor v1 logs any.
		_, isV1 := tlog.TreeIDOf(origin)
		if host := hostOf(l.baseURL); !isV1 && origin != host {
			return checkpoint{}, no("checkpoint of %q is signed with the key of log %s, whose checkpoints begin with %q", program.Printable(origin), l.baseURL, host)
		}
		return checkpoint{Checkpoint: c, key: l, signed: bytes.Clone(signed)}, nil
	}
	hint := "is this the trusted root of that service, and the current one?"
	for _, err := range reasons { // the key is known, and something else is wrong
		if !strings.Contains(err.Error(), "no verifiable signatures") {
			return checkpoint{}, no("checkpoint of %q: %s", program.Printable(origin), program.Printable(err.Error()))
		}
	}
	return checkpoint{}, no("checkpoint of %q is not signed by a log of the trusted root (hint: %s)", program.Printable(origin), hint)
}

func hostOf(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
