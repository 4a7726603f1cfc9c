// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	merkle "golang.org/x/mod/sumdb/tlog"
)

// testLog is a log of a service: leaves, and everything else computed from
// them with x/mod, so that nothing of Hallmark's log engine judges itself.
type testLog struct {
	logRow
	key    *ecdsa.PrivateKey
	leaves [][]byte
	hashes []merkle.Hash // stored hashes
	times  []int64
}

func newTestLog(t *testing.T, row logRow, leaves ...string) *testLog {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	id := sha256.Sum256(der)
	row.LogID = hex.EncodeToString(id[:])
	l := &testLog{logRow: row, key: key}
	for _, leaf := range leaves {
		l.add(t, []byte(leaf))
	}
	return l
}

func (l *testLog) add(t *testing.T, leaf []byte) {
	t.Helper()
	hashes, err := merkle.StoredHashes(int64(len(l.leaves)), leaf, l)
	if err != nil {
		t.Fatal(err)
	}
	l.hashes = append(l.hashes, hashes...)
	l.leaves = append(l.leaves, leaf)
	l.times = append(l.times, 1_760_000_000+int64(len(l.leaves)))
	l.Size = int64(len(l.leaves))
}

// ReadHashes implements merkle.HashReader.
func (l *testLog) ReadHashes(indexes []int64) ([]merkle.Hash, error) {
	var out []merkle.Hash
	for _, i := range indexes {
		out = append(out, l.hashes[i])
	}
	return out, nil
}

// checkpoint signs the tree of a size. A v1 log's signature line has the host
// alone, and the hint is of the key alone.
func (l *testLog) checkpoint(t *testing.T, size int64) []byte {
	t.Helper()
	root, err := merkle.TreeHash(size, l)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%s\n%d\n%s\n", l.Origin, size, root)
	name, _, _ := strings.Cut(l.Origin, " - ")
	id, err := hex.DecodeString(l.LogID)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Appendf(nil, "%s\n— %s %s\n", text, name, base64.StdEncoding.EncodeToString(append(id[:4], l.sign(t, []byte(text))...)))
}

func (l *testLog) sign(t *testing.T, message []byte) []byte {
	t.Helper()
	digest := sha256.Sum256(message)
	signature, err := ecdsa.SignASN1(rand.Reader, l.key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

// bundle is an entry bundle of the last width leaves at most.
func (l *testLog) bundle(n, width int) []byte {
	var out []byte
	for _, leaf := range l.leaves[n*256 : n*256+width] {
		out = binary.BigEndian.AppendUint16(out, uint16(len(leaf)))
		out = append(out, leaf...)
	}
	return out
}

// set is a signed entry timestamp.
func (l *testLog) set(t *testing.T, index int64) []byte {
	t.Helper()
	return l.sign(t, fmt.Appendf(nil, `{"body":"%s","integratedTime":%d,"logID":"%s","logIndex":%d}`,
		base64.StdEncoding.EncodeToString(l.leaves[index]), l.times[index], l.LogID, l.FirstIndex+index))
}

func (l *testLog) hint(t *testing.T, index int64) logHint {
	t.Helper()
	hash := merkle.RecordHash(l.leaves[index])
	h := logHint{Log: l.Name, Index: index, GlobalIndex: l.FirstIndex + index, UUID: hex.EncodeToString(hash[:]), IntegratedTime: l.times[index]}
	h.Kind, h.APIVersion = kindOf(l.leaves[index])
	if l.Kind == "v1" {
		h.SignedEntryTimestamp = l.set(t, index)
	}
	return h
}

// testService is what of a service's API the log commands use. A lie may answer
// a request in its place.
type testService struct {
	*httptest.Server
	t    *testing.T
	logs []*testLog
	// found is what every search finds, bundles what the service has kept.
	found   []logHint
	bundles map[string][]json.RawMessage
	lie     func(w http.ResponseWriter, r *http.Request) bool
	root    string // trusted_root.json
}

func newTestService(t *testing.T, logs ...*testLog) *testService {
	t.Helper()
	s := &testService{t: t, logs: logs, bundles: map[string][]json.RawMessage{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hallmark/v1/logs", s.list)
	mux.HandleFunc("GET /hallmark/v1/search", s.search)
	mux.HandleFunc("GET /hallmark/v1/artifacts/{digest}", s.artifact)
	mux.HandleFunc("GET /hallmark/v1/logs/{log}/entries/{id}", s.entry)
	mux.HandleFunc("GET /hallmark/v1/logs/{log}/{path...}", s.tiles)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.lie == nil || !s.lie(w, r) {
			mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	s.root = filepath.Join(t.TempDir(), "trusted_root.json")
	if err := os.WriteFile(s.root, trustedRootOf(t, logs...), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *testService) json(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		s.t.Log(err) // the client went away
	}
}

func (s *testService) problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"title":"x","status":%d,"detail":%q}`, status, detail)
}

func (s *testService) log(name string) *testLog {
	for _, l := range s.logs {
		if l.Name == name {
			return l
		}
	}
	return nil
}

func (s *testService) list(w http.ResponseWriter, _ *http.Request) {
	rows := []logRow{}
	for _, l := range s.logs {
		rows = append(rows, l.logRow)
	}
	s.json(w, map[string]any{"logs": rows})
}

func (s *testService) search(w http.ResponseWriter, r *http.Request) {
	from, _ := strconv.Atoi(r.FormValue("after"))
	limit, _ := strconv.Atoi(r.FormValue("limit"))
	to, next := min(from+limit, len(s.found)), ""
	if to < len(s.found) {
		next = strconv.Itoa(to)
	}
	s.json(w, searchPage{Entries: s.found[from:to], Next: next})
}

func (s *testService) artifact(w http.ResponseWriter, r *http.Request) {
	receipts := []map[string]any{}
	for _, b := range s.bundles[r.PathValue("digest")] {
		receipts = append(receipts, map[string]any{"bundle": []byte(b)})
	}
	if len(receipts) == 0 {
		s.problem(w, http.StatusNotFound, "nothing was signed")
		return
	}
	// Pages of one receipt, as of large ones.
	at, _ := strconv.Atoi(r.FormValue("cursor"))
	answer := map[string]any{"receipts": receipts[at : at+1]}
	if at+1 < len(receipts) {
		answer["next"] = strconv.Itoa(at + 1)
	}
	s.json(w, answer)
}

func (s *testService) entry(w http.ResponseWriter, r *http.Request) {
	if l := s.log(r.PathValue("log")); l != nil {
		for i := range l.Size {
			if h := l.hint(s.t, i); r.PathValue("id") == strconv.FormatInt(i, 10) || r.PathValue("id") == h.UUID {
				s.json(w, h)
				return
			}
		}
	}
	s.problem(w, http.StatusNotFound, "no such entry")
}

func (s *testService) tiles(w http.ResponseWriter, r *http.Request) {
	l, path := s.log(r.PathValue("log")), r.PathValue("path")
	switch {
	case l == nil:
		http.NotFound(w, r)
	case path == "checkpoint":
		_, _ = w.Write(l.checkpoint(s.t, l.Size))
	default:
		data, err := l.tile(path)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(data)
	}
}

// tile answers a path of C2SP tlog-tiles.
func (l *testLog) tile(path string) ([]byte, error) {
	path = strings.Replace(strings.Replace(path, "tile/", "tile/8/", 1), "tile/8/entries/", "tile/8/data/", 1)
	tile, err := merkle.ParseTilePath(path)
	if err != nil {
		return nil, err
	}
	nodes := l.Size
	if tile.L > 0 {
		nodes >>= 8 * tile.L
	}
	if tile.N*256+int64(tile.W) > nodes {
		return nil, os.ErrNotExist
	}
	if tile.L < 0 {
		return l.bundle(int(tile.N), tile.W), nil
	}
	return merkle.ReadTileData(tile, l)
}

// trustedRootOf is a trusted root with these logs.
func trustedRootOf(t *testing.T, logs ...*testLog) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	type object = map[string]any
	since := object{"start": "2025-01-01T00:00:00Z"}
	var tlogs []object
	for _, l := range logs {
		der, err := x509.MarshalPKIXPublicKey(l.key.Public())
		if err != nil {
			t.Fatal(err)
		}
		id := sha256.Sum256(der)
		host, _, _ := strings.Cut(l.Origin, " - ")
		tlogs = append(tlogs, object{
			"baseUrl": "https://" + host, "hashAlgorithm": "SHA2_256", "logId": object{"keyId": id[:]},
			"publicKey": object{"rawBytes": der, "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": since},
		})
	}
	raw, err := json.Marshal(object{
		"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1", "tlogs": tlogs,
		"certificateAuthorities": []object{{
			"subject": object{}, "uri": "https://ca.example", "validFor": since,
			"certChain": object{"certificates": []object{{"rawBytes": cert}}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// twoLogs are a v1 log, the second of its kind, and a v2 log, each with more
// entries than one tile has.
func twoLogs(t *testing.T) (v1, v2 *testLog) {
	t.Helper()
	leaves := func(kind string) []string {
		var all []string
		for i := range 300 {
			all = append(all, fmt.Sprintf(`{"apiVersion":"0.0.1","kind":"%s","spec":{"data":{"hash":{"algorithm":"sha256","value":"%x"}}}}`, kind, sha256.Sum256([]byte{byte(i), byte(i >> 8)})))
		}
		return all
	}
	v1 = newTestLog(t, logRow{Name: "v1-2", Kind: "v1", TreeID: "77", State: "active", FirstIndex: 40, Origin: "hallmark.example - 77"}, leaves("rekord")...)
	v2 = newTestLog(t, logRow{Name: "v2", Kind: "v2", TreeID: "88", State: "active", Origin: "v2.example"}, leaves("hashedrekord")...)
	return v1, v2
}

// run runs a command against the service.
func (s *testService) run(args ...string) (code int, stdout, stderr string) {
	var out, words bytes.Buffer
	code = run(context.Background(), append([]string{"log"}, args...), environment{
		getenv: func(name string) string {
			return map[string]string{"HALLMARK_URL": s.URL, "TRUSTED_ROOT": s.root}[name]
		},
		stdin: strings.NewReader(""), stdout: &out, stderr: &words,
	})
	return code, out.String(), words.String()
}
