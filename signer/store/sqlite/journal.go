// SPDX-License-Identifier: Apache-2.0

package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store"
)

// Begin implements signer.Journal. The partial unique index on the request key
// says the same as the look-up before it, to every other program, too.
func (db *DB) Begin(ctx context.Context, in signer.Intent, use signer.TokenUse, ev signer.AuditEvent) (stored signer.Intent, created bool, err error) {
	doc, err := store.EncodeDocument(in)
	if err == nil {
		err = store.CheckTokenUse(use)
	}
	if err != nil {
		return signer.Intent{}, false, err
	}
	var refused error
	err = db.write(ctx, func(t *tx) (err error) {
		stored, refused, err = t.earlier(in.RequestKey, use)
		if err != nil || refused != nil || stored.ID != "" {
			return err
		}
		stored, created = in, true
		err = t.exec(`INSERT INTO intents (id, request_key, state, created, action, digest, predicate_type, document, statement)
			VALUES (?, ?, 'recorded', ?, ?, ?, ?, ?, ?)`,
			in.ID, in.RequestKey, in.Created.UnixNano(), string(in.Action), string(in.Artifact.Digest), in.PredicateType,
			doc, store.NotNull(in.Statement))
		if err != nil {
			return err
		}
		return t.record(ev)
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return signer.Intent{}, false, fmt.Errorf("record intent: %w", err)
	}
	return stored, created, nil
}

// earlier returns the live intent of a request, if there is one, which its token
// may have whatever it was used for before; else it counts the use.
func (t *tx) earlier(request string, use signer.TokenUse) (stored signer.Intent, refused, err error) {
	counted, verdict, err := t.judge(use, request)
	if err != nil {
		return stored, nil, err
	}
	var replayed *signer.Replayed
	if errors.As(verdict, &replayed) && replayed.Reason != signer.ReplayExhausted {
		return stored, verdict, nil
	}
	found, err := t.query().intents(`request_key = ? AND state <> 'void'`, request)
	switch {
	case err != nil:
		return stored, nil, err
	case len(found) > 0:
		return found[0], nil, nil
	case verdict != nil:
		return stored, verdict, nil
	case counted:
		return stored, nil, nil
	}
	return stored, nil, t.count(use, request)
}

// Sign implements signer.Journal.
func (db *DB) Sign(ctx context.Context, id string, s signer.Signed) error {
	more, err := store.EncodeMore(s)
	if err != nil {
		return store.IntentError("sign", id, err)
	}
	err = db.write(ctx, func(t *tx) error {
		return t.one(`UPDATE intents SET state = 'signed', signature = ?, certificate = ?, timestamp = ?, more = ?
			WHERE id = ? AND state = 'recorded'`, store.NotNull(s.Signature), store.NotNull(s.Certificate), store.NotNull(s.Timestamp), more, id)
	})
	return store.IntentError("sign", id, err)
}

// Finish implements signer.Journal.
func (db *DB) Finish(ctx context.Context, id string, r signer.Receipt, ev signer.AuditEvent) error {
	receipt, err := store.EncodeReceipt(r)
	if err != nil {
		return store.IntentError("finish", id, err)
	}
	row, err := store.EncodeOutline(r, ev.Time)
	if err != nil {
		return store.IntentError("finish", id, err)
	}
	err = db.write(ctx, func(t *tx) error {
		if err := t.one(`UPDATE intents SET state = 'finished', receipt = ?, bundle = ? WHERE id = ? AND state = 'signed'`,
			receipt, store.NotNull(r.Bundle), id); err != nil {
			return err
		}
		if err := t.keepOutline(id, row); err != nil {
			return err
		}
		return t.record(ev)
	})
	return store.IntentError("finish", id, err)
}

// Void implements signer.Journal.
func (db *DB) Void(ctx context.Context, id string, ev signer.AuditEvent) error {
	err := db.write(ctx, func(t *tx) error {
		if err := t.one(`UPDATE intents SET state = 'void' WHERE id = ? AND state = 'recorded'`, id); err != nil {
			return err
		}
		return t.record(ev)
	})
	return store.IntentError("void", id, err)
}

// one runs an update that must find its intent.
func (t *tx) one(query string, args ...any) error {
	n, err := t.changed(query, args...)
	if err == nil && n != 1 {
		err = signer.ErrNoIntent
	}
	return err
}

// Intent returns the intent of an id in whatever state, void ones too.
// signer.ErrNoIntent if there never was one.
func (db *DB) Intent(ctx context.Context, id string) (signer.Intent, error) {
	found, err := db.intents(ctx, `id = ?`, id)
	if err == nil && len(found) == 0 {
		err = signer.ErrNoIntent
	}
	if err != nil {
		return signer.Intent{}, fmt.Errorf("read intent %s: %w", id, err)
	}
	return found[0], nil
}

func (db *DB) intents(ctx context.Context, where string, args ...any) (found []signer.Intent, err error) {
	err = db.read(ctx, func(q queryer) (err error) {
		found, err = q.intents(where, args...)
		return err
	})
	return found, err
}

// intents reads the intents that a constant condition selects.
func (q queryer) intents(where string, args ...any) ([]signer.Intent, error) {
	var found []signer.Intent
	err := q.each(`SELECT `+store.IntentColumns+` FROM intents WHERE `+where, args,
		func(scan func(...any) error) error {
			in, err := scanIntent(scan)
			found = append(found, in)
			return err
		})
	return found, err
}

func scanIntent(scan func(...any) error) (signer.Intent, error) {
	var row store.IntentRow
	if err := scan(row.Columns()...); err != nil {
		return signer.Intent{}, err
	}
	return row.Intent()
}
