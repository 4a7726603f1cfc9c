// SPDX-License-Identifier: Apache-2.0

package sqlite

import (
	"context"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// Logs implements tlog.Storage.
func (db *DB) Logs(context.Context) ([]tlog.LogRow, error) { panic("unwritten") }

// Activate implements tlog.Storage.
func (db *DB) Activate(context.Context, string) error { panic("unwritten") }

// Freeze implements tlog.Storage.
func (db *DB) Freeze(context.Context, string) error { panic("unwritten") }

// Search implements tlog.Storage.
func (db *DB) Search(context.Context, tlog.Query) ([]tlog.Position, error) { panic("unwritten") }
