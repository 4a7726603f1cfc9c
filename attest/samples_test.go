// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"strings"

	"github.com/hallmark-dev/hallmark/attest"
)

// Samples of the shapes that the tools write, made for these tests.

var bb = strings.Repeat("b", 64)

const (
	vulnsPredicateType = "https://in-toto.io/attestation/vulns/v0.2"
	testPredicateType  = "https://in-toto.io/attestation/test-result/v0.1"
	cosignVuln         = "https://cosign.sigstore.dev/attestation/vuln/v1"
)

var (
	trivyConfig = `{"SchemaVersion": 2, "ArtifactName": "deploy", "CreatedAt": "2026-11-30T10:00:00Z", "Results": [{"Target": "Dockerfile", "Class": "config",
		"MisconfSummary": {"Successes": 20, "Failures": 2}, "Misconfigurations": [
			{"ID": "DS002", "AVDID": "AVD-DS-0002", "Title": "root user", "Severity": "HIGH", "Status": "FAIL", "CauseMetadata": {"StartLine": 3}},
			{"ID": "DS026", "Title": "no HEALTHCHECK", "Severity": "LOW", "Status": "FAIL"}, {"ID": "DS001", "Severity": "MEDIUM", "Status": "PASS"}]},
		{"Target": "app.yaml", "Class": "config", "MisconfSummary": {"Successes": 3, "Failures": 0}}]}`
	trivySecrets = `{"SchemaVersion": 2, "ArtifactName": "app", "Results": [{"Target": "app (debian 12)", "Class": "os-pkgs"}, {"Target": "/etc/key", "Class": "secret", "Secrets": [
		{"RuleID": "aws-access-key-id", "Category": "AWS", "Severity": "CRITICAL", "Title": "AWS Access Key ID", "StartLine": 7, "EndLine": 7,
		 "Code": {"Lines": [{"Content": "key = HUNTER2HUNTER2"}]}, "Match": "key = HUNTER2HUNTER2"}]}]}`
	sarifTrivy = `{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "Trivy", "version": "0.60.0", "rules": [
			{"id": "CVE-2026-0001", "shortDescription": {"text": "openssl: bad"}, "defaultConfiguration": {"level": "error"},
			 "properties": {"security-severity": "9.8", "cvssv3_vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "cvssv3_baseScore": 9.8, "tags": ["vulnerability", "security", "CRITICAL"]}},
			{"id": "CVE-2026-0002", "properties": {"tags": ["vulnerability", "security"]}}]}},
		"results": [
			{"ruleId": "CVE-2026-0001", "ruleIndex": 0, "level": "error", "message": {"text": "Package: openssl\nInstalled Version: 3.0.1\nVulnerability CVE-2026-0001\nSeverity: CRITICAL\nFixed Version: 3.0.2"},
			 "locations": [{"physicalLocation": {"artifactLocation": {"uri": "library/app"}, "region": {"startLine": 1}}}]},
			{"ruleId": "CVE-2026-0002", "level": "note", "message": {"text": "Package: zlib"}}],
		"properties": {"imageName": "app:1", "repoDigests": ["r/app@sha256:` + bb + `"]}}]}`
	sarifGrype = `{"$schema": "x", "version": "2.1.0", "runs": [{"results": [{"ruleId": "CVE-2026-0003-busybox", "message": {"text": "A critical vulnerability"}}],
		"tool": {"driver": {"name": "grype", "rules": [{"id": "CVE-2026-0003-busybox", "properties": {"security-severity": "4.0", "purls": ["pkg:apk/alpine/busybox@1.36.0?arch=amd64"]}}]}}}]}`
	sarifSAST = `{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "CodeQL", "semanticVersion": "2.1.0", "rules": [
			{"id": "go/sql-injection", "defaultConfiguration": {"level": "error"}, "properties": {"security-severity": "8.8", "tags": ["security", "external/cwe/cwe-089"]}},
			{"id": "go/unused", "defaultConfiguration": {"level": "note"}}]}},
		"invocations": [{"executionSuccessful": true, "startTimeUtc": "2026-11-30T09:00:00Z", "endTimeUtc": "2026-11-30T10:00:00Z"}],
		"results": [
			{"ruleId": "go/sql-injection", "ruleIndex": 0, "message": {"text": "m"}, "locations": [{"physicalLocation": {"artifactLocation": {"uri": "db.go"}, "region": {"startLine": 12}}}]},
			{"rule": {"index": 1}, "message": {"text": "m"}},
			{"ruleId": "go/sql-injection", "kind": "pass", "message": {"text": "m"}},
			{"ruleId": "go/sql-injection", "message": {"text": "m"}, "suppressions": [{"kind": "inSource", "justification": "a test"}]},
			{"ruleId": "go/sql-injection", "message": {"text": "m"}, "suppressions": [{"kind": "external", "status": "rejected"}]}]}]}`
	clairReport = `{"manifest_hash": "sha256:` + bb + `",
		"packages": {"1": {"id": "1", "name": "openssl", "version": "3.0.1"}, "2": {"id": "2", "name": "zlib", "version": "1.2"}},
		"distributions": {"5": {"id": "5", "did": "debian"}},
		"environments": {"1": [{"package_db": "var/lib/dpkg/status", "introduced_in": "sha256:` + aa + `", "distribution_id": "5"}]},
		"vulnerabilities": {
			"10": {"id": "10", "name": "CVE-2026-0001 on Debian 12 - high", "normalized_severity": "High", "severity": "important", "fixed_in_version": "3.0.2", "updater": "debian/updater"},
			"11": {"id": "11", "name": "CVE-2026-0002", "normalized_severity": "Unknown", "fixed_in_version": ""}},
		"package_vulnerabilities": {"1": ["10", "11"]},
		"enrichments": {"message/vnd.clair.map.vulnerability; enricher=clair.cvss schema=x": [{"10": [{"baseScore": 7.5, "vectorString": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", "version": "3.1"}]}]}}`
	snykVuln = `{"id": "SNYK-JS-A-1", "title": "Bad", "packageName": "a", "name": "a", "version": "1.0.0", "severity": "high", "severityWithCritical": "critical", "packageManager": "npm",
		"cvssScore": 9.8, "CVSSv3": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "fixedIn": ["1.0.1"], "identifiers": {"CVE": ["CVE-2026-0001"], "CWE": ["CWE-1"], "GHSA": ["GHSA-aaaa-bbbb-cccc"]}, "from": `
	snykReport = `{"vulnerabilities": [` + snykVuln + `["app@1", "a@1.0.0"]}, ` + snykVuln + `["app@1", "b@2", "a@1.0.0"]}], "ok": false, "dependencyCount": 7, "packageManager": "npm",
		"filtered": {"ignore": [{"id": "SNYK-JS-B-1", "name": "b", "version": "2", "severity": "low", "filtered": {"ignored": [{"reason": "not used"}]}}]}, "path": "/src"}`
	snykList      = `[{"vulnerabilities": [], "ok": true, "dependencyCount": 3, "packageManager": "gomodules"}, ` + snykReport + `]`
	snykContainer = `{"vulnerabilities": [], "ok": false, "dependencyCount": 3, "packageManager": "deb", "applications": [` + snykReport + `]}`
	snykUnmanaged = `[{"issues": [{"pkgName": "https://curl.example|curl", "pkgVersion": "7.58.0", "issueId": "SNYK-UNMANAGED-CURL-1", "fixInfo": {"isPatchable": false, "nearestFixedInVersion": "7.64.0", "upgradePaths": []}},
		{"pkgName": "https://other.example|curl", "pkgVersion": "7.58.0-fork", "issueId": "SNYK-UNMANAGED-CURL-1", "fixInfo": {}}, {"pkgName": "https://curl.example|curl", "pkgVersion": "7.58.0", "issueId": "snyk:lic:curl", "fixInfo": {}}],
		"issuesData": {"SNYK-UNMANAGED-CURL-1": {"id": "SNYK-UNMANAGED-CURL-1", "title": "Overflow", "severity": "high", "cvssScore": 7.5, "identifiers": {"CVE": ["CVE-2026-0001"]}, "fixedIn": []},
			"snyk:lic:curl": {"id": "snyk:lic:curl", "title": "GPL", "severity": "medium"}},
		"vulnerabilities": [{"id": "SNYK-UNMANAGED-CURL-1", "name": "https://other.example|curl@7.58.0-fork", "version": "7.58.0-fork", "severity": "high"},
			{"id": "SNYK-UNMANAGED-Z-1", "name": "https://z.example|z@1", "version": "1", "severity": "critical"}],
		"depGraphData": {"pkgs": [{"id": "root"}, {"id": "curl"}, {"id": "z"}]}, "path": "/src", "packageManager": "Unmanaged (C/C++)"}]`
	snykDebian = `{"vulnerabilities": [{"id": "SNYK-DEBIAN11-OPENSSL-1", "packageName": "openssl", "name": "openssl/libssl1.1", "version": "1.1.1n-0+deb11u3", "severity": "high", "packageManager": "debian:11",
		"from": ["docker-image|app@", "openssl/libssl1.1@1.1.1n-0+deb11u3"], "identifiers": {"CVE": ["CVE-2026-0001"]}}], "ok": false, "dependencyCount": 3, "packageManager": "deb",
		"docker": {"baseImage": "debian:11"}, "path": "app"}`
	gitlabReport = `{"version": "15.0.0", "vulnerabilities": [{"id": "hash", "name": "Bad", "severity": "Critical", "solution": "Upgrade to 3.0.2",
			"location": {"dependency": {"package": {"name": "openssl"}, "version": "3.0.1"}, "operating_system": "debian 12", "image": "r/app@sha256:` + bb + `"},
			"identifiers": [{"type": "cwe", "name": "CWE-1", "value": "1"}, {"type": "cve", "name": "CVE-2026-0001", "value": "CVE-2026-0001"}]}],
		"scan": {"type": "container_scanning", "status": "success", "start_time": "2026-11-30T09:59:00", "end_time": "2026-11-30T10:00:00", "scanner": {"id": "trivy", "version": "0.60.0"}}}`
	gitlabSecrets = `{"version": "15.0.0", "vulnerabilities": [{"id": "hash", "name": "AWS key", "severity": "Critical", "raw_source_code_extract": "HUNTER2HUNTER2", "location": {"file": "a.env", "start_line": 2},
		"identifiers": [{"type": "gitleaks_rule_id", "name": "aws", "value": "AWS"}]}], "scan": {"type": "secret_detection", "status": "success", "scanner": {"id": "gitleaks"}}}`
	hadolintReport = `[{"line": 1, "code": "DL3006", "message": "Always tag", "column": 1, "file": "Dockerfile", "level": "warning"},
		{"line": 3, "code": "SC2086", "message": "Quote", "column": 1, "file": "Dockerfile", "level": "info"}]`
	hadolintUnparsed = `[{"line": 1, "code": "DL1000", "message": "unexpected", "column": 1, "file": "Dockerfile", "level": "error"}]`
	dockleReport     = `{"image": "r/app@sha256:` + bb + `", "summary": {"fatal": 1, "warn": 0, "info": 1, "skip": 1, "pass": 9}, "details": [
		{"code": "CIS-DI-0010", "title": "No secrets in ENV", "level": "FATAL", "alerts": ["in layer 1"]}, {"code": "CIS-DI-0005", "title": "Trust", "level": "INFO", "alerts": []},
		{"code": "DKL-LI-0001", "title": "x", "level": "SKIP", "alerts": []}, {"code": "CIS-DI-0001", "title": "User", "level": "IGNORE", "alerts": []}]}`
	kubebenchReport = `{"Controls": [{"id": "1", "version": "cis-1.9", "detected_version": "1.31", "node_type": "master", "tests": [{"section": "1.1", "results": [
		{"test_number": "1.1.1", "test_desc": "API server", "status": "PASS"}, {"test_number": "1.1.2", "test_desc": "etcd", "status": "FAIL"}, {"test_number": "1.1.3", "test_desc": "x", "status": "WARN"}]}]}], "Totals": {}}`
	gitleaksReport = `[{"RuleID": "generic-api-key", "Description": "Generic key", "StartLine": 4, "EndLine": 4, "Match": "key = HUNTER2HUNTER2", "Secret": "HUNTER2HUNTER2", "File": "conf.py", "Commit": "ABC", "Author": "a", "Email": "e", "Message": "HUNTER2HUNTER2"}]`

	cdxVEX = `{"bomFormat": "CycloneDX", "specVersion": "1.5", "metadata": {"timestamp": "2026-11-30T10:00:00Z", "tools": {"components": [{"name": "vexer", "version": "1"}]},
			"component": {"bom-ref": "app", "name": "app", "version": "1"}}, "vulnerabilities": [
		{"id": "CVE-2026-0001", "references": [{"id": "GHSA-aaaa-bbbb-cccc"}], "analysis": {"state": "not_affected", "justification": "code_not_reachable"},
		 "affects": [{"ref": "urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1#pkg:deb/debian/openssl@3.0.1"}]},
		{"id": "CVE-2026-0001", "analysis": {"state": "exploitable"}, "affects": [{"ref": "pkg:deb/debian/openssl", "versions": [{"range": "vers:deb/>=3.0.2|<3.1", "status": "affected"}, {"version": "4", "status": "unaffected"}]}]},
		{"id": "CVE-2026-0002", "analysis": {"state": "resolved"}, "affects": [{"ref": "pkg:deb/debian/zlib", "versions": [{"version": "1.3"}, {"version": "1.4"}]}]},
		{"id": "CVE-2026-0003", "analysis": {"state": "false_positive"}, "affects": [{"ref": "app"}]},
		{"id": "CVE-2026-0004", "analysis": {"state": "in_triage"}, "affects": [{"ref": "urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1#product-ABC"}]}]}`
	cdxScan = `{"bomFormat": "CycloneDX", "specVersion": "1.4", "metadata": {"timestamp": "2026-11-30T10:00:00Z", "tools": [{"vendor": "aquasecurity", "name": "trivy", "version": "0.60.0"}]},
		"components": [{"bom-ref": "c1", "name": "openssl", "version": "3.0.1", "purl": "pkg:deb/debian/openssl@3.0.1", "components": [{"bom-ref": "c2", "name": "libssl", "version": "3"}]}],
		"vulnerabilities": [{"id": "CVE-2026-0001", "source": {"name": "debian"}, "ratings": [
			{"source": {"name": "nvd"}, "score": 9.8, "severity": "critical", "method": "CVSSv31", "vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"},
			{"source": {"name": "debian"}, "severity": "medium"}], "affects": [{"ref": "c1"}, {"ref": "c2", "versions": [{"version": "3", "status": "unaffected"}]}]}]}`
	cdxXML = `<?xml version="1.0" encoding="UTF-8"?>
<bom xmlns="http://cyclonedx.org/schema/bom/1.5" serialNumber="urn:uuid:1" version="1">
	<metadata><timestamp>2026-11-30T10:00:00Z</timestamp><tools><tool><vendor>x</vendor><name>maker</name></tool></tools>
		<component type="container"><name>app</name><version>sha256:` + bb + `</version></component></metadata>
	<components>
		<component type="library"><name>a</name><version>1</version><purl>pkg:npm/a@1</purl><licenses><license><name>MIT</name></license></licenses>
			<components><component type="library"><name>b &amp; c</name></component></components></component>
		<component type="library"><name>d</name><purl>pkg:npm/d@1</purl></component>
	</components>
</bom>`
	cdxVEXXML = `<bom xmlns="http://cyclonedx.org/schema/bom/1.5"><metadata><timestamp>2026-11-30T10:00:00Z</timestamp>
		<tools><components><component type="application"><name>vexer</name><version>1</version></component></components></tools>
		<component type="application" bom-ref="app"><name>app</name><version>1</version></component></metadata>
	<vulnerabilities>
		<vulnerability><id>CVE-2026-0001</id><references><reference><id>GHSA-aaaa-bbbb-cccc</id><source><name>x</name></source></reference></references>
			<analysis><state>not_affected</state><justification>code_not_reachable</justification></analysis>
			<affects><target><ref>urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1#pkg:deb/debian/openssl@3.0.1</ref></target></affects></vulnerability>
		<vulnerability><id>CVE-2026-0001</id><analysis><state>exploitable</state></analysis><affects><target><ref>pkg:deb/debian/openssl</ref><versions>
			<version><range>vers:deb/&gt;=3.0.2|&lt;3.1</range><status>affected</status></version><version><version>4</version><status>unaffected</status></version></versions></target></affects></vulnerability>
		<vulnerability><id>CVE-2026-0002</id><analysis><state>resolved</state></analysis><affects><target><ref>pkg:deb/debian/zlib</ref>
			<versions><version><version>1.3</version></version><version><version>1.4</version></version></versions></target></affects></vulnerability>
		<vulnerability><id>CVE-2026-0003</id><analysis><state>false_positive</state></analysis><affects><target><ref>app</ref></target></affects></vulnerability>
	</vulnerabilities></bom>`
	cdxScanXML = `<bom xmlns="http://cyclonedx.org/schema/bom/1.4"><metadata><timestamp>2026-11-30T10:00:00Z</timestamp><tools><tool><vendor>aquasecurity</vendor><name>trivy</name><version>0.60.0</version></tool></tools></metadata>
	<components><component type="library" bom-ref="c1"><name>openssl</name><version>3.0.1</version><purl>pkg:deb/debian/openssl@3.0.1</purl>
		<components><component type="library" bom-ref="c2"><name>libssl</name><version>3</version></component></components></component></components>
	<vulnerabilities><vulnerability><id>CVE-2026-0001</id><source><name>debian</name></source><ratings>
		<rating><source><name>nvd</name></source><score>9.8</score><severity>critical</severity><method>CVSSv31</method><vector>CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H</vector></rating>
		<rating><source><name>debian</name></source><severity>medium</severity></rating></ratings>
		<affects><target><ref>c1</ref></target><target><ref>c2</ref><versions><version><version>3</version><status>unaffected</status></version></versions></target></affects></vulnerability></vulnerabilities></bom>`
	tagValue = `# made by hand
SPDXVersion: SPDX-2.3
DataLicense: CC0-1.0
DocumentName: app
Creator: Tool: maker-1
Created: 2026-11-30T10:00:00Z
DocumentComment: <text>PackageName: not one
PackageName: nor this</text>

PackageName: app
PackageVersion: sha256:` + bb + `
PrimaryPackagePurpose: CONTAINER

PackageName: openssl
PackageVersion: 3.0.1
ExternalRef: PACKAGE-MANAGER purl pkg:deb/debian/openssl@3.0.1
FileName: ./a
`
	spdx3 = `{"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "@graph": [
		{"type": "CreationInfo", "@id": "_:c", "specVersion": "3.0.1", "created": "2026-11-30T10:00:00Z"}, {"type": "SpdxDocument", "spdxId": "d", "name": "app"},
		{"type": "software_Package", "spdxId": "p", "name": "a", "software_packageUrl": "pkg:npm/a@1"},
		{"type": "software_Package", "spdxId": "q", "name": "b", "externalIdentifier": [{"type": "ExternalIdentifier", "externalIdentifierType": "packageUrl", "identifier": "pkg:npm/b@1"}]},
		{"type": "software_File", "spdxId": "f", "name": "x"}]}`
	syftReport = `{"artifacts": [{"name": "a", "version": "1", "purl": "pkg:npm/a@1"}, {"name": "b"}], "source": {"type": "image", "metadata": {"userInput": "app:1", "repoDigests": ["r/app@sha256:` + bb + `"]}},
		"descriptor": {"name": "syft", "version": "1.57.0"}, "schema": {"version": "16"}}`
	vulns01 = `{"scanner": {"uri": "https://osv.dev", "version": "1", "db": {}, "result": [{"vulnerability": {"id": "CVE-2026-0001"}, "severity": {"method": "CVSSv31", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}}]},
		"metadata": {"scanStartedOn": "2026-11-30T09:00:00Z", "scanFinishedOn": "2026-11-30T10:00:00Z"}}`
	vulns01Protobuf = `{"scanner": {"uri": "https://osv.dev", "database": {"lastUpdate": "2026-11-29T00:00:00Z"}, "result": {"vulnerabilities": [{"id": "CVE-2026-0001", "severity": [{"method": "nvd", "score": "low"}]}]}},
		"scanMetadata": {"scanFinishedOn": "2026-11-30T10:00:00Z"}}`
)

type severities = map[attest.Severity]int

// report says what is in a file.
type report struct {
	name, want string // want: what --type would say
	file       string
	kind       attest.EvidenceKind
	format     string
	predicate  string // its type; "" if the file cannot be one
	embedded   bool   // byte for byte
	state      attest.ScanState
	severities severities
	digest     string // the one that the file names, without sha256:
	packages   int
}

func reports() []report {
	const (
		sbom, scan, check, vex = attest.EvidenceSBOM, attest.EvidenceScan, attest.EvidenceCheck, attest.EvidenceVEX
		clean, found, nothing  = attest.ScanClean, attest.ScanFound, attest.ScanNothing
		critical, high, medium = attest.SeverityCritical, attest.SeverityHigh, attest.SeverityMedium
		low, unknown           = attest.SeverityLow, attest.SeverityUnknown
	)
	return []report{
		{"trivy", "", trivyReport, scan, "trivy", cosignVuln, true, found, severities{critical: 1, unknown: 1}, "", 0},
		{"trivy config", "", trivyConfig, check, "trivy", testPredicateType, false, found, severities{high: 1, low: 1}, "", 0},
		{"trivy secrets", "", trivySecrets, scan, "trivy", vulnsPredicateType, false, found, severities{critical: 1}, "", 0},
		{"trivy secrets as check", "check", trivySecrets, check, "trivy", testPredicateType, false, found, severities{critical: 1}, "", 0},
		{"trivy packages as check", "check", trivyReport, check, "trivy", testPredicateType, false, nothing, nil, "", 0},
		{"grype", "", grypeReport, scan, "grype", cosignVuln, true, found, severities{attest.SeverityNegligible: 1, high: 1}, aa, 0},
		{"trivy sarif", "", sarifTrivy, scan, "sarif", vulnsPredicateType, false, found, severities{critical: 1, unknown: 1}, bb, 0},
		{"grype sarif", "", sarifGrype, scan, "sarif", vulnsPredicateType, false, found, severities{medium: 1}, "", 0},
		{"sast sarif", "", sarifSAST, check, "sarif", testPredicateType, false, found, severities{high: 3, low: 1}, "", 0},
		{"clean sarif", "", `{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "Trivy"}}, "results": [], "properties": {"imageName": "app:1"}}]}`, scan, "sarif", vulnsPredicateType, false, clean, nil, "", 0},
		{"clair", "", clairReport, scan, "clair", vulnsPredicateType, false, found, severities{high: 1, unknown: 1}, bb, 2},
		{"snyk", "", snykReport, scan, "snyk", vulnsPredicateType, false, found, severities{critical: 1, low: 1}, "", 7},
		{"snyk list", "", snykList, scan, "snyk", vulnsPredicateType, false, found, severities{critical: 1, low: 1}, "", 10},
		{"snyk unmanaged", "", snykUnmanaged, scan, "snyk", vulnsPredicateType, false, found, severities{high: 2, medium: 1, critical: 1}, "", 2},
		{"snyk container of a distribution", "", snykDebian, scan, "snyk", vulnsPredicateType, false, found, severities{high: 1}, "", 3},
		{"snyk container", "", snykContainer, scan, "snyk", vulnsPredicateType, false, found, severities{critical: 1, low: 1}, "", 10},
		{"gitlab", "", gitlabReport, scan, "gitlab", vulnsPredicateType, false, found, severities{critical: 1}, bb, 0},
		{"gitlab secrets", "", gitlabSecrets, check, "gitlab", testPredicateType, false, found, severities{critical: 1}, "", 0},
		{"hadolint", "", hadolintReport, check, "hadolint", testPredicateType, false, found, severities{medium: 1, low: 1}, "", 0},
		{"hadolint unparsed", "", hadolintUnparsed, check, "hadolint", testPredicateType, false, nothing, severities{high: 1}, "", 0},
		{"hadolint clean", "hadolint", `[]`, check, "hadolint", testPredicateType, false, clean, nil, "", 0},
		{"dockle", "", dockleReport, check, "dockle", testPredicateType, false, found, severities{high: 1, low: 1, unknown: 1}, bb, 0},
		{"kube-bench", "", kubebenchReport, check, "kube-bench", testPredicateType, false, found, severities{high: 1, medium: 1}, "", 0},
		{"gitleaks", "", gitleaksReport, check, "gitleaks", testPredicateType, false, found, severities{unknown: 1}, "", 0},
		{"gitleaks clean", "gitleaks", `[]`, check, "gitleaks", testPredicateType, false, clean, nil, "", 0},
		{"cyclonedx vex", "", cdxVEX, vex, "cyclonedx", "https://cyclonedx.org/bom", true, "", nil, "", 0},
		{"cyclonedx with both", "", cdxScan, sbom, "cyclonedx", "https://cyclonedx.org/bom", true, "", nil, "", 2},
		{"cyclonedx as scan", "scan", cdxScan, scan, "cyclonedx", vulnsPredicateType, false, found, severities{medium: 1}, "", 2},
		{"cyclonedx xml", "", cdxXML, sbom, "cyclonedx-xml", "", false, "", nil, bb, 3},
		{"cyclonedx xml with both", "", cdxScanXML, sbom, "cyclonedx-xml", "", false, "", nil, "", 2},
		{"cyclonedx xml as scan", "scan", cdxScanXML, scan, "cyclonedx-xml", vulnsPredicateType, false, found, severities{medium: 1}, "", 2},
		{"cyclonedx xml vex", "", cdxVEXXML, vex, "cyclonedx-xml", "https://openvex.dev/ns/v0.2.0", false, "", nil, "", 0},
		{"spdx", "", spdxDocument, sbom, "spdx", "https://spdx.dev/Document", true, "", nil, "", 2},
		{"spdx tag-value", "", tagValue, sbom, "spdx-tag-value", "", false, "", nil, bb, 2},
		{"spdx 3", "", spdx3, sbom, "spdx3", "https://spdx.dev/Document/v3", true, "", nil, "", 2},
		{"syft", "", syftReport, sbom, "syft", "https://syft.dev/bom", true, "", nil, bb, 2},
		{"openvex", "", vexDocument, vex, "openvex", "https://openvex.dev/ns/v0.2.0", true, "", nil, "", 0},
		{"vulns 0.1", "", vulns01, scan, "in-toto-vulns", vulnsPredicateType, true, found, severities{critical: 1}, "", 0},
		{"vulns 0.1 of the protobuf", "", vulns01Protobuf, scan, "in-toto-vulns", vulnsPredicateType, true, found, severities{low: 1}, "", 0},
		{"vulns 0.2", "", vulnsPredicate, scan, "in-toto-vulns", vulnsPredicateType, true, found, severities{critical: 1, medium: 1, unknown: 1}, "", 0},
		{"junit", "", junitFile, attest.EvidenceTest, "junit", testPredicateType, false, "", nil, "", 0},
	}
}
