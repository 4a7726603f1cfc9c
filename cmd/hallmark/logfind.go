// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// What people call an entry by.
var (
	indexShape   = regexp.MustCompile(`^(0|[1-9][0-9]{0,18})$`)
	uuidShape    = regexp.MustCompile(`^[0-9a-f]{64}$`)
	entryIDShape = regexp.MustCompile(`^[0-9a-f]{80}$`) // tree id, UUID
)

// treeIDDigits is the length of the tree id in an entry id, hexadecimal.
const treeIDDigits = 16

// foundEntry is an entry that was asked for, proven.
type foundEntry struct {
	provenEntry
	view *logView
	row  logRow // zero for a log at --url
	// Of v1 logs: when the entry was taken and at which global index, with the
	// log's signature, which was verified.
	time int64
	set  []byte
}

// logIndex is the index that clients of the log's API know: Rekor v1 counts the
// entries of earlier shards too, Rekor v2 does not.
func (e *foundEntry) logIndex() int64 {
	if e.view.treeID() == "" {
		return e.index
	}
	return e.row.FirstIndex + e.index
}

// entryID is a v1 log's name of the entry; empty for other logs.
func (e *foundEntry) entryID() string {
	id, isV1 := tlog.TreeIDOf(e.view.Origin)
	if !isV1 {
		return ""
	}
	return fmt.Sprintf("%016x%x", id, e.hash[:])
}

// finder looks entries up in the logs of a service.
type finder struct {
	service *logClient
	keys    *logKeys
	rows    []logRow
	views   map[string]*logView
}

func newFinder(ctx context.Context, service *logClient, keys *logKeys) (*finder, error) {
	rows, err := service.logs(ctx)
	if err != nil {
		return nil, err
	}
	return &finder{service: service, keys: keys, rows: rows, views: map[string]*logView{}}, nil
}

// row finds a log by name.
func (f *finder) row(name string) (logRow, error) {
	var names []string
	for _, r := range f.rows {
		if r.Name == name {
			return r, nil
		}
		names = append(names, program.Printable(r.Name))
	}
	return logRow{}, no("the service has no log %q (hint: it has %s)", name, strings.Join(names, ", "))
}

// view opens a log of the service and checks that it is the one that the
// service says.
func (f *finder) view(ctx context.Context, row logRow) (*logView, error) {
	if v := f.views[row.Name]; v != nil {
		return v, nil
	}
	source, err := f.service.source(row.Name)
	if err != nil {
		return nil, err
	}
	v, err := viewLog(ctx, source, f.keys)
	if err != nil {
		return nil, err
	}
	if v.Origin != row.Origin || v.key.id != row.LogID {
		return nil, no("the service says that log %q is %q with key %s, and serves a checkpoint of %q with key %s",
			program.Printable(row.Name), program.Printable(row.Origin), program.Printable(row.LogID), v.Origin, v.key.id)
	}
	if (row.Kind == string(tlog.V1)) != (v.treeID() != "") || (v.treeID() != "" && v.treeID() != row.TreeID) {
		return nil, no("the service says that log %q is a %s log with tree id %s, its checkpoints are those of %q",
			program.Printable(row.Name), program.Printable(row.Kind), program.Printable(row.TreeID), v.Origin)
	}
	f.views[row.Name] = v
	return v, nil
}

// find takes an index, a UUID or an entry id. An index is one in the log of
// that name, or if there is no name, the global index of v1 entries.
func (f *finder) find(ctx context.Context, log, id string) (*foundEntry, error) {
	switch {
	case indexShape.MatchString(id):
		row, index, err := f.place(log, id)
		if err != nil {
			return nil, err
		}
		return f.at(ctx, row, index)
	case uuidShape.MatchString(id):
		return f.byUUID(ctx, log, id)
	case entryIDShape.MatchString(id):
		treeID, err := strconv.ParseInt(id[:treeIDDigits], 16, 64)
		if err != nil {
			return nil, usage("entry id %s: its tree id is out of range", id)
		}
		for _, row := range f.rows {
			if row.TreeID == strconv.FormatInt(treeID, 10) && (log == "" || log == row.Name) {
				return f.byUUID(ctx, row.Name, id[treeIDDigits:])
			}
		}
		return nil, no("the service has no log with the tree id %d", treeID)
	default:
		return nil, usage("%q is no entry (hint: an index, 64 hexadecimal digits of a UUID, or 80 of an entry id, in lower case)", id)
	}
}

// place finds the log that an index is in.
func (f *finder) place(log, id string) (logRow, int64, error) {
	index, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return logRow{}, 0, usage("index %s is out of range", id)
	}
	if log != "" {
		row, err := f.row(log)
		return row, index, err
	}
	var found *logRow
	for i, row := range f.rows {
		if row.Kind == string(tlog.V1) && row.State != string(tlog.Pending) && row.FirstIndex <= index &&
			(found == nil || row.FirstIndex >= found.FirstIndex) {
			found = &f.rows[i]
		}
	}
	if found == nil {
		return logRow{}, 0, no("the service has no v1 log that the global index %d could be in (hint: --log names a log, and then it is an index in that)", index)
	}
	return *found, index - found.FirstIndex, nil
}

// byUUID finds the log that has a leaf hash. Where it is the service says;
// that it is there is proven like any other entry.
func (f *finder) byUUID(ctx context.Context, log, uuid string) (*foundEntry, error) {
	for _, row := range f.rows {
		if log != "" && log != row.Name {
			continue
		}
		hint, err := f.service.entry(ctx, row.Name, uuid)
		if isNo(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		e, err := f.at(ctx, row, hint.Index)
		if err != nil {
			return nil, err
		}
		if hex.EncodeToString(e.hash[:]) != uuid {
			return nil, no("the service says that entry %d of log %q has the UUID %s, it has %x", hint.Index, program.Printable(row.Name), uuid, e.hash[:])
		}
		return e, nil
	}
	return nil, no("entry %s is in no log of the service", uuid)
}

// at proves the entry at an index of a log.
func (f *finder) at(ctx context.Context, row logRow, index int64) (*foundEntry, error) {
	view, err := f.view(ctx, row)
	if err != nil {
		return nil, err
	}
	proven, err := view.entry(ctx, index)
	if err != nil {
		return nil, err
	}
	e := &foundEntry{provenEntry: proven, view: view, row: row}
	if view.treeID() == "" {
		return e, nil
	}
	hint, err := f.service.entry(ctx, row.Name, strconv.FormatInt(index, 10))
	if err != nil {
		return nil, err
	}
	if err := checkSET(view.key, e.logIndex(), proven.body, hint); err != nil {
		return nil, no("entry %d of log %q: %w", index, row.Name, err)
	}
	e.time, e.set = hint.IntegratedTime, hint.SignedEntryTimestamp
	return e, nil
}

// checkSET verifies a signed entry timestamp: ECDSA over the SHA-256 of the
// RFC 8785 form of four members (rekor pkg/verify). It binds the entry to its
// time and to its global index, so that both are as good as the log's key.
func checkSET(key logKey, logIndex int64, body []byte, hint logHint) error {
	public, ok := key.public.(*ecdsa.PublicKey)
	if !ok {
		return fmt.Errorf("its log has a %T, and v1 logs have ECDSA keys", key.public)
	}
	signed := fmt.Sprintf(`{"body":"%s","integratedTime":%d,"logID":"%s","logIndex":%d}`,
		base64.StdEncoding.EncodeToString(body), hint.IntegratedTime, key.id, logIndex)
	digest := sha256.Sum256([]byte(signed))
	if !ecdsa.VerifyASN1(public, digest[:], hint.SignedEntryTimestamp) {
		return fmt.Errorf("the log has not signed that it took it at %d as entry %d (signed entry timestamp)", hint.IntegratedTime, logIndex)
	}
	return nil
}

// isNo says whether an error is an answer of "no".
func isNo(err error) bool {
	var a *program.Answer
	return errors.As(err, &a) && a.Code == exitNo
}
