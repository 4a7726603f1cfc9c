// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"

	merkle "golang.org/x/mod/sumdb/tlog"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/api"
	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/index"
	"github.com/hallmark-dev/hallmark/signer/tlog/rekorv1"
	"github.com/hallmark-dev/hallmark/signer/tlog/tiles"
)

// logView is api.Logs over the engine.
type logView struct {
	db     store.Database
	set    *tlog.Set
	logger *slog.Logger
}

var _ api.Logs = logView{}

// Logs implements api.Logs. What a log has published is what this process
// knows of it, which is never less than it has told anybody; of logs that are
// pending it is what the database says.
func (v logView) Logs(ctx context.Context) ([]api.Log, error) {
	open, err := v.set.Logs(ctx, "")
	if err != nil {
		return nil, logError(err)
	}
	rows, err := v.db.Logs(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", signer.ErrNoLog, err)
	}
	var logs []api.Log
	for _, row := range rows {
		for _, l := range open {
			if published := l.Row(); published.Name == row.Name {
				row = published
			}
		}
		described, err := describeLog(row)
		if err != nil {
			return nil, err
		}
		logs = append(logs, described)
	}
	return logs, nil
}

func describeLog(row tlog.LogRow) (api.Log, error) {
	key, err := publicKeyOf(row)
	if err != nil {
		return api.Log{}, err
	}
	id, err := tlog.KeyID(row.Origin, key)
	if err != nil {
		return api.Log{}, fmt.Errorf("key of log %q in the database: %w", row.Name, err)
	}
	return api.Log{
		Name: row.Name, Kind: string(row.Kind), State: string(row.State), TreeID: strconv.FormatInt(row.TreeID, 10),
		Origin: row.Origin, LogID: hex.EncodeToString(id), FirstIndex: row.FirstIndex, Size: row.Head.Size,
		RootHash: hex.EncodeToString(row.Head.Root[:]), Checkpoint: string(row.Head.Checkpoint), PublicKey: row.Key,
	}, nil
}

// logs returns the open logs by their names.
func (v logView) logs(ctx context.Context) (map[string]*tlog.Log, error) {
	open, err := v.set.Logs(ctx, "")
	if err != nil {
		return nil, logError(err)
	}
	logs := make(map[string]*tlog.Log, len(open))
	for _, l := range open {
		logs[l.Row().Name] = l
	}
	return logs, nil
}

// log returns an open log by its name.
func (v logView) log(ctx context.Context, name string) (*tlog.Log, error) {
	logs, err := v.logs(ctx)
	if err != nil {
		return nil, err
	}
	if l, ok := logs[name]; ok {
		return l, nil
	}
	return nil, fmt.Errorf("%w: log %q (hint: GET /hallmark/v1/logs lists them; a pending log is not read yet)", api.ErrNotFound, name)
}

// Entry implements api.Logs.
func (v logView) Entry(ctx context.Context, log, id string) (api.LogEntry, error) {
	l, err := v.log(ctx, log)
	if err != nil {
		return api.LogEntry{}, err
	}
	place, err := indexOf(ctx, l, id)
	if err != nil {
		return api.LogEntry{}, err
	}
	entry, in, err := l.Entry(ctx, place)
	if err != nil {
		return api.LogEntry{}, logError(err)
	}
	out := api.LogEntry{
		LogPosition: position(l.Row(), entry), Body: entry.Body,
		TreeSize: in.TreeSize, RootHash: hex.EncodeToString(in.Root[:]), Checkpoint: string(in.Checkpoint), Hashes: []string{},
	}
	for _, h := range in.Proof {
		out.Hashes = append(out.Hashes, hex.EncodeToString(h[:]))
	}
	if l.Row().Kind == tlog.V1 {
		out.SignedEntryTimestamp, err = rekorv1.EntryTimestamp(l, entry)
	}
	return out, err
}

// indexOf reads an index, or a UUID and finds it.
func indexOf(ctx context.Context, l *tlog.Log, id string) (int64, error) {
	if len(id) != hex.EncodedLen(merkle.HashSize) {
		n, err := strconv.ParseInt(id, 10, 64)
		if err != nil || n < 0 {
			return 0, fmt.Errorf("%w: entry %q is neither an index nor a UUID of 64 hexadecimal digits", api.ErrBadQuery, id)
		}
		return n, nil
	}
	var leaf tlog.Hash
	if _, err := hex.Decode(leaf[:], []byte(id)); err != nil {
		return 0, fmt.Errorf("%w: entry %q is neither an index nor a UUID of 64 hexadecimal digits", api.ErrBadQuery, id)
	}
	in, found, err := l.Find(ctx, leaf)
	if err != nil {
		return 0, logError(err)
	}
	if !found {
		return 0, fmt.Errorf("%w: entry %s in log %q", api.ErrNotFound, id, l.Row().Name)
	}
	return in.Index, nil
}

// position describes an entry without its proof.
func position(row tlog.LogRow, e tlog.Entry) api.LogPosition {
	var body struct {
		Kind       string `json:"kind"`
		APIVersion string `json:"apiVersion"`
	}
	_ = json.Unmarshal(e.Body, &body) // the log has JSON only; anything else has no kind
	leaf := merkle.RecordHash(e.Body)
	return api.LogPosition{
		Log: row.Name, Index: e.Index, GlobalIndex: row.FirstIndex + e.Index, UUID: hex.EncodeToString(leaf[:]),
		EntryID: rekorv1.EntryID(row.TreeID, leaf), Kind: body.Kind, APIVersion: body.APIVersion, IntegratedTime: e.Time, Signers: signersOf(e.Body),
	}
}

// Search implements api.Logs.
func (v logView) Search(ctx context.Context, q api.LogQuery) (api.LogPage, error) {
	query, err := parseQuery(q)
	if err != nil {
		return api.LogPage{}, err
	}
	found, err := v.set.Search(ctx, query)
	if errors.Is(err, tlog.ErrNoLog) && query.After != nil {
		err = fmt.Errorf("%w: after: no log %q", api.ErrBadQuery, query.After.Log)
	}
	if err != nil {
		return api.LogPage{}, logError(err)
	}
	logs, err := v.logs(ctx)
	if err != nil {
		return api.LogPage{}, err
	}
	page := api.LogPage{Entries: []api.LogPosition{}}
	for _, p := range found {
		l := logs[p.Log] // Set.Search knows it
		entry, _, err := l.Entry(ctx, p.Index)
		if err != nil {
			return api.LogPage{}, logError(err)
		}
		page.Entries = append(page.Entries, position(l.Row(), entry))
	}
	if len(found) == query.Limit {
		last := found[len(found)-1]
		page.Next = last.Log + "/" + strconv.FormatInt(last.Index, 10)
	}
	return page, nil
}

func parseQuery(q api.LogQuery) (tlog.Query, error) {
	query := tlog.Query{All: q.All, Newest: q.Newest, Limit: q.Limit}
	for _, term := range q.Terms {
		key, err := index.ParseTerm(term)
		if err != nil {
			return tlog.Query{}, fmt.Errorf("%w: %w", api.ErrBadQuery, err)
		}
		if !slices.Contains(query.Keys, key) {
			query.Keys = append(query.Keys, key)
		}
	}
	if q.After != "" {
		log, at, _ := strings.Cut(q.After, "/")
		n, err := strconv.ParseInt(at, 10, 64)
		if err != nil || n < 0 || log == "" {
			return tlog.Query{}, fmt.Errorf("%w: after %q is not what \"next\" said", api.ErrBadQuery, q.After)
		}
		query.After = &tlog.Position{Log: log, Index: n}
	}
	return query, nil
}

// ServeTiles implements api.Logs.
func (v logView) ServeTiles(w http.ResponseWriter, r *http.Request, log, path string) error {
	l, err := v.log(r.Context(), log)
	if err != nil {
		return err
	}
	if err := tiles.Serve(w, r, l, path); err != nil {
		v.logger.WarnContext(r.Context(), "log could not be read", "log", log, "path", path, "error", err)
	}
	return nil
}

// logError translates the engine's errors for the API.
func logError(err error) error {
	switch {
	case errors.Is(err, tlog.ErrNotFound):
		return fmt.Errorf("%w: %w", api.ErrNotFound, err)
	case errors.Is(err, tlog.ErrBadKeys):
		return fmt.Errorf("%w: %w", api.ErrBadQuery, err)
	case errors.Is(err, tlog.ErrUnavailable), errors.Is(err, tlog.ErrClosed):
		return fmt.Errorf("%w: %w", signer.ErrNoLog, err)
	}
	return err
}
