// SPDX-License-Identifier: Apache-2.0

// Package storetest is what every store.Database must pass beyond the log,
// whose suite is signer/tlog/storagetest: the journal, the audit, receipts,
// events, and a backup that is restored. It has the fixtures that tests of one
// engine use as well.
package storetest

import (
	"context"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store"
)

// Engine is how the suite gets databases. They are closed at the end of the
// test by whoever made them.
type Engine struct {
	// Create returns an empty database.
	Create func(t testing.TB) store.Database
	// Reopen ends a database as a crash of its process would, and opens what it
	// left.
	Reopen func(t testing.TB, db store.Database) store.Database
	// Restore returns a database made of a backup file.
	Restore func(t testing.TB, backup string) (store.Database, error)
	// TokenUses counts the uses of tokens that are kept.
	TokenUses func(t testing.TB, db store.Database) int
	// OwnClock says that the database has a clock, which it compares with those
	// of its clients.
	OwnClock bool
}

// Run runs the suite.
func Run(t *testing.T, e Engine) {
	tests := map[string]func(*testing.T, Engine){
		"journal states":         journalStates,
		"intents survive":        intentsSurvive,
		"repeated request":       repeatedRequest,
		"begin at the same time": concurrentBegin,
		"writes fail alone":      failedWriteFailsAlone,
		"tokens":                 tokens,
		"tokens of two holders":  tokenHolders,
		"tokens expire":          tokensExpire,
		"a clock set back":       clockSetBack,
		"a clock ahead":          clockAhead,
		"parallel uses":          parallelUses,
		"uses are forgotten":     usesAreForgotten,
		"uses without intents":   usesWithoutIntents,
		"receipts":               receipts,
		"receipts by type":       receiptsByType,
		"receipts walked":        receiptsWalked,
		"large receipts":         largeReceipts,
		"pages of unfinished":    unfinishedPages,
		"audit":                  audit,
		"events have no gaps":    eventsWithoutGaps,
		"operations once":        operationsOnce,
		"certificates":           certificates,
		"certificate races":      certificateRaces,
		"backup":                 backup,
		"backup exists":          backupExists,
		"damaged backups":        damagedBackups,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, e) })
	}
}

// Digest is that of the artifact that Intent is about.
var Digest = attest.DigestOf([]byte("artifact"))

// Signed is the signature material of To.
var Signed = signer.Signed{
	Signature: []byte("signature"), Certificate: []byte("certificate"), Timestamp: []byte("timestamp"),
	Tag: &signer.SignedTag{Payload: []byte("document"), Signature: []byte("its signature"), Timestamp: []byte("its time"), Chain: [][]byte{[]byte("issuer")}},
	Others: []signer.Signed{
		{Signature: []byte("by key"), Key: "release", PublicKey: []byte("public"), Timestamp: []byte("later"), Tag: &signer.SignedTag{Timestamp: []byte("latest")}},
	},
}

// Intent returns a full intent, every member set.
func Intent(id, requestKey string) signer.Intent {
	return signer.Intent{
		ID: id, RequestKey: requestKey, Created: time.Date(2025, 10, 1, 12, 0, 0, 123456789, time.UTC),
		Action: signer.ActionSign,
		Artifact: oci.Artifact{
			Registry: "registry.example", Repository: "acme/app", Tag: "v1", Digest: Digest,
			MediaType: "application/vnd.oci.image.index.v1+json", Size: 1234, Kind: "index",
		},
		PredicateType: attest.PredicateSignature,
		Requester: signer.Requester{
			Identity: "github", Provider: "github", Issuer: "https://issuer.example", Subject: "repo:acme/app",
			SAN: "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main", Run: "run 1", TokenID: "jti:1",
		},
		SAN: "https://github.com/acme/app", Issuer: "https://issuer.example", Rule: "release", PolicyDigest: "sha256:00",
		Modes:     []string{"certificate", "key:release"},
		Statement: []byte(`{"_type":"https://in-toto.io/Statement/v1"}`),
	}
}

// Use returns a use of a token that is good for many requests.
func Use(token string) signer.TokenUse {
	now := time.Date(2025, 10, 1, 12, 0, 0, 0, time.UTC)
	return signer.TokenUse{
		Token: sha256.Sum256([]byte(token)), Holder: sha256.Sum256([]byte("acme/app")), Most: 10_000, Until: now.Add(time.Hour), Now: now,
	}
}

// Operation returns an event about an operation.
func Operation(id string) signer.AuditEvent {
	return signer.AuditEvent{
		Time: time.Date(2025, 10, 1, 12, 0, 0, 0, time.UTC), Decision: signer.DecisionRevocation, Action: signer.ActionRevoke, Digest: string(Digest),
		Operation: &signer.Operation{
			ID: id, Operator: signer.Operator{User: "alice", Host: "host", Behind: "bob"}, Kind: "digest", Value: string(Digest), Reason: "r", Since: "s", Key: "k", Replaces: "o",
		},
	}
}

// Event returns a decision about an intent.
func Event(decision, id string) signer.AuditEvent {
	return signer.AuditEvent{
		Time: time.Date(2025, 10, 1, 12, 0, 1, 0, time.UTC), Decision: decision, Stage: "intent", Action: signer.ActionSign,
		Image: "registry.example/acme/app:v1", Digest: string(Digest), Rule: "release", IntentID: id, Reasons: []string{"one", "two"},
		RequestID: "request", RemoteAddr: "192.0.2.1",
	}
}

// Receipt returns a full receipt.
func Receipt(in signer.Intent) signer.Receipt {
	return signer.Receipt{
		ID: in.ID, Action: in.Action, Image: in.Artifact.String(), Digest: in.Artifact.Digest, Kind: "index", PredicateType: in.PredicateType,
		Identity: in.SAN, Issuer: in.Issuer, Requester: in.Requester.SAN, Run: in.Requester.Run, Rule: in.Rule, PolicyDigest: in.PolicyDigest,
		Attached: signer.Attached{LogIndex: 7, LogID: "00ff", TreeSize: 8, Manifest: Digest, BundleDigest: Digest, Bundle: []byte(`{"mediaType":"x"}`)},
		Others:   []signer.Attached{{LogIndex: 3, LogID: "11ee", TreeSize: 4, Manifest: Digest, BundleDigest: Digest, Bundle: []byte(`{"mediaType":"y"}`)}},
		SignedAt: in.Created.Add(time.Second),
	}
}

// To takes a new intent to a state: recorded, signed, finished or void.
func To(t testing.TB, db signer.Journal, in signer.Intent, state string) {
	t.Helper()
	ctx := context.Background()
	_, created, err := db.Begin(ctx, in, Use("a token"), Event(signer.DecisionGranted, in.ID))
	if err != nil || !created {
		t.Fatalf("begin: created %v, %v", created, err)
	}
	switch state {
	case "signed", "finished":
		err = db.Sign(ctx, in.ID, Signed)
		if err == nil && state == "finished" {
			err = db.Finish(ctx, in.ID, Receipt(in), Event(signer.DecisionSigned, in.ID))
		}
	case "void":
		err = db.Void(ctx, in.ID, Event(signer.DecisionVoided, in.ID))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Events returns the first page of events.
func Events(t testing.TB, db store.Database) []store.Event {
	t.Helper()
	found, err := db.Events(context.Background(), store.EventQuery{})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
