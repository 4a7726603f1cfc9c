// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"time"

	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/trustroot"
)

// Operators work on the deployment's folder, whether a service runs or not, and
// the audit is in a database that a running service has. So what they do is
// written down in the folder first, and comes to the audit when a service looks:
//
//   - a rotation is its own record: each phase in rotations.json says when and by
//     whom, and is written in the moment it comes true;
//   - a revocation is a line of operations.json, written before the list is
//     changed. Power fails in between: whoever looks next does what the line says.
//
// Each has an id under which the database takes it once, so that it may be told
// again at any time. A line stays for a while after it was recorded, because a
// backup copies the database before the folder.
const (
	operationsName = "operations.json"
	// operationsKeep is how long a line stays that has been recorded.
	operationsKeep = 7 * 24 * time.Hour
	// operationsRoom is how large the file stays, bytes, once a service has recorded
	// what is in it.
	operationsRoom = maxTrust / 2
	// maxOperator bounds what the operating system says about an operator, bytes.
	maxOperator = 128
)

// operations is the file, oldest first.
type operations struct {
	Operations []signer.AuditEvent `json:"operations"`
}

func readOperations(cfg *Config) (*operations, error) {
	all := &operations{}
	if err := readRecord(cfg.path("trust", operationsName), all); err != nil {
		return nil, fmt.Errorf("read operations: %w", err)
	}
	for i, ev := range all.Operations {
		if ev.Operation == nil || ev.Operation.ID == "" || ev.Time.IsZero() {
			return nil, fmt.Errorf("read operations: operation %d has no name or no time", i)
		}
	}
	return all, nil
}

// readRecord decodes a file strictly. One that is not there leaves into as it is.
func readRecord(path string, into any) error {
	doc, err := readBounded(path, maxTrust)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func (a *operations) write(cfg *Config) error {
	doc, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return err
	}
	if len(doc) >= maxTrust {
		return fmt.Errorf("%s is full: no service has recorded what is in it (hint: start the service)", cfg.path("trust", operationsName))
	}
	_, err = replaceFile(cfg.path("trust", operationsName), append(doc, '\n'))
	return err
}

// add writes an operation down, before it is done.
func (a *operations) add(cfg *Config, ev signer.AuditEvent) error {
	a.Operations = append(a.Operations, ev)
	return a.write(cfg)
}

// named gives an event about what this process is about to do its name, time and
// operator.
func named(ev signer.AuditEvent, now time.Time) (signer.AuditEvent, error) {
	op := *ev.Operation
	ev.Time, ev.Operation, op.Operator = now, &op, thisOperator()
	var err error
	op.ID, err = newOperationID()
	return ev, err
}

func newOperationID() (string, error) {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return "", fmt.Errorf("name operation: %w", err)
	}
	return hex.EncodeToString(id[:]), nil
}

// thisOperator is who runs this process, as the operating system has it. There
// is nobody else to ask: a deployment has no accounts for operators.
func thisOperator() signer.Operator {
	uid := strconv.Itoa(os.Getuid())
	who := signer.Operator{User: "uid " + uid}
	if u, err := user.LookupId(uid); err == nil {
		who.User = limited(u.Username)
	}
	if host, err := os.Hostname(); err == nil {
		who.Host = limited(host)
	}
	if os.Getuid() == 0 {
		who.Behind = limited(os.Getenv("SUDO_USER"))
	}
	return who
}

func limited(s string) string { return program.Printable(s[:min(len(s), maxOperator)]) }

// events are what the rotations say for the audit: one for each phase.
func (a *rotations) events() []signer.AuditEvent {
	var all []signer.AuditEvent
	for _, r := range a.Rotations {
		for _, p := range []struct {
			name string
			at   time.Time
		}{{"requested", r.Requested}, {"made", r.Made}, {"published", r.Published}, {"active", r.Active}, {"done", r.Done}} {
			if p.at.IsZero() {
				continue
			}
			all = append(all, signer.AuditEvent{
				Time: p.at, Decision: signer.DecisionRotation, Action: signer.ActionRotate, Stage: p.name,
				Operation: &signer.Operation{ID: r.id() + "/" + p.name, Operator: r.By[p.name], Kind: r.Kind, Key: r.Key, Replaces: r.Replaces},
			})
		}
	}
	return all
}

// recordOperations tells the database what it does not know yet, and drops old
// lines that it knows.
func (t *tender) recordOperations(ctx context.Context, now time.Time) error {
	if t.db == nil {
		return nil // a command: the service does it
	}
	all, err := readRotations(t.cfg)
	if err != nil {
		return err
	}
	written, err := readOperations(t.cfg)
	if err != nil {
		return err
	}
	events := append(slices.Clone(written.Operations), all.events()...)
	slices.SortStableFunc(events, func(a, b signer.AuditEvent) int { return a.Time.Compare(b.Time) })
	for _, ev := range events {
		if t.recorded[ev.Operation.ID] {
			continue
		}
		if _, err := t.db.RecordOnce(ctx, ev); err != nil {
			return fmt.Errorf("audit of operations: %w", err)
		}
		t.recorded[ev.Operation.ID] = true
	}
	kept := written.since(now.Add(-operationsKeep))
	for size := written.size(kept); size > operationsRoom; size = written.size(kept) {
		kept = kept[(len(kept)+1)/2:] // so many in a week: the next ones need room
	}
	if len(kept) < len(written.Operations) {
		return (&operations{kept}).write(t.cfg)
	}
	return nil
}

// size is that of the file with some of its lines; one line always fits.
func (*operations) size(kept []signer.AuditEvent) int {
	doc, err := json.MarshalIndent(operations{kept}, "", "  ")
	if err != nil || len(kept) <= 1 {
		return 0 // write says what is wrong
	}
	return len(doc)
}

// since are the operations after a time, and the last one: it may not be done.
func (a *operations) since(begin time.Time) []signer.AuditEvent {
	kept := []signer.AuditEvent{}
	for i, ev := range a.Operations {
		if ev.Time.After(begin) || i == len(a.Operations)-1 {
			kept = append(kept, ev)
		}
	}
	return kept
}

// finishRevocation does what the last line says, if the power failed before it
// was done. All lines before it were done when it was written. To revoke once
// more does no harm, to withdraw does: a list that was issued since, by whatever
// means, has that behind it.
func (c *Config) finishRevocation(now time.Time) error {
	written, err := readOperations(c)
	if err != nil || len(written.Operations) == 0 {
		return err
	}
	list, err := c.readRevocations()
	if err != nil {
		return err
	}
	last := written.Operations[len(written.Operations)-1]
	if last.Action == signer.ActionWithdraw && list.Issued.After(last.Time) {
		return nil
	}
	next, changed, err := revocationOf(last, list, now)
	if err != nil || !changed {
		return err
	}
	return c.writeRevocations(next)
}

// revocationOf is the list with an operation done, and whether that changed it.
func revocationOf(ev signer.AuditEvent, list trustroot.Revocations, now time.Time) (next trustroot.Revocations, changed bool, err error) {
	op, kind := ev.Operation, trustroot.RevocationKind(ev.Operation.Kind)
	switch ev.Action {
	case signer.ActionWithdraw:
		next, changed = list.Without(kind, op.Value, now)
		return next, changed, nil
	case signer.ActionRevoke:
		r := trustroot.Revocation{Kind: kind, Value: op.Value, Reason: op.Reason, Revoked: ev.Time}
		if op.Since != "" {
			since, err := time.Parse(time.RFC3339, op.Since)
			if err != nil {
				return list, false, fmt.Errorf("operation %s: %w", op.ID, err)
			}
			r.Since = &since
		}
		next, err = list.With(r, now)
		if errors.Is(err, trustroot.ErrRevoked) {
			return list, false, nil
		}
		return next, err == nil, err
	}
	return list, false, fmt.Errorf("operation %s: action %q is not known", op.ID, ev.Action)
}
