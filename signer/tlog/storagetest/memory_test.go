// SPDX-License-Identifier: Apache-2.0

package storagetest_test

import (
	"testing"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/storagetest"
)

func openMemory(*testing.T) tlog.Storage { return storagetest.NewMemory() }

func TestMemory(t *testing.T) { storagetest.Run(t, openMemory, nil) }

func TestEngineOnMemory(t *testing.T) { storagetest.RunEngine(t, openMemory, nil) }

func TestModelOnMemory(t *testing.T) { storagetest.RunModel(t, openMemory, reopenMemory) }

// reopenMemory keeps what is in memory: it stands for a crash of the processes
// around it.
func reopenMemory(_ *testing.T, st tlog.Storage) tlog.Storage { return st }
