BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE canary (
	id INTEGER NOT NULL, 
	sealed TEXT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "canary" VALUES(1,'canary');
CREATE TABLE connections (
	id VARCHAR NOT NULL, 
	version INTEGER NOT NULL, 
	generation INTEGER NOT NULL, 
	org_id VARCHAR NOT NULL, 
	user_id VARCHAR NOT NULL, 
	provider VARCHAR NOT NULL, 
	client_id VARCHAR NOT NULL, 
	account_id VARCHAR NOT NULL, 
	account_name VARCHAR, 
	grantee VARCHAR NOT NULL, 
	status VARCHAR NOT NULL, 
	reason VARCHAR, 
	scopes JSON NOT NULL, 
	resources JSON NOT NULL, 
	epoch INTEGER NOT NULL, 
	sync_id VARCHAR, 
	created VARCHAR NOT NULL, 
	updated VARCHAR NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT one_connection_per_identity UNIQUE (org_id, user_id, provider, client_id, account_id, grantee)
);
INSERT INTO "connections" VALUES('01a21f9b0f6c72a885d43fa9a5264b18',1,1,'demo','demo','hubspot','tributary-sandbox-hubspot','179893287','recorded.example','870407','active',NULL,'["oauth", "crm.objects.contacts.read", "crm.objects.companies.read", "crm.objects.deals.read"]','["companies", "contacts", "deals"]',1,'01a21f9b0f6c7df3a06160400cc47212','2026-11-28T00:43:05.452Z','2026-11-28T00:43:05.452Z');
INSERT INTO "connections" VALUES('01a21f9b11ed7a1e9107749d7be3aecb',1,1,'demo','demo','notion','tributary-sandbox-notion','0303bc86-fb67-448a-ab65-36a8d1cd99cf','Recorded','b39f5a40-1089-4cd7-a36a-bb01ea85db2f','active',NULL,'[]','["pages", "data_sources", "users"]',1,'01a21f9b11ed7a3b801876ea2ecefe80','2026-11-28T00:43:06.093Z','2026-11-28T00:43:06.093Z');
INSERT INTO "connections" VALUES('01a21f9b13b57bf4a95c7cf9ec2f7861',1,1,'demo','demo','airtable','tributary-sandbox-airtable','usryhDYXPs7DG63gO','Recorded','','active',NULL,'["data.records:read", "schema.bases:read", "user.email:read"]','["bases", "tables", "records"]',1,'01a21f9b13b57f76b92fa98895cb0abc','2026-11-28T00:43:06.549Z','2026-11-28T00:43:06.549Z');
INSERT INTO "connections" VALUES('01a21f9b15447ac88d3474171e6e0f20',2,1,'demo','former','notion','tributary-sandbox-notion','0303bc86-fb67-448a-ab65-36a8d1cd99cf','Recorded','b39f5a40-1089-4cd7-a36a-bb01ea85db2f','disconnected',NULL,'[]','["pages", "data_sources", "users"]',1,'01a21f9b15447af48291d3a1da1c6486','2026-11-28T00:43:06.948Z','2026-11-28T00:43:07.305Z');
CREATE TABLE credentials (
	connection_id VARCHAR NOT NULL, 
	access_sealed TEXT NOT NULL, 
	access_expires FLOAT, 
	refresh_sealed TEXT, 
	refresh_expires FLOAT, 
	fingerprint VARCHAR, 
	attempt_id VARCHAR, 
	attempt_fingerprint VARCHAR, 
	refresh_until FLOAT NOT NULL, 
	replays INTEGER NOT NULL, 
	failures INTEGER NOT NULL, 
	retry_at FLOAT NOT NULL, 
	last_used FLOAT NOT NULL, 
	PRIMARY KEY (connection_id), 
	FOREIGN KEY(connection_id) REFERENCES connections (id)
);
INSERT INTO "credentials" VALUES('01a21f9b0f6c72a885d43fa9a5264b18','secret:5:CN',1.79582838544437766075e+09,'secret:6:na1-',NULL,'digest of secret:6:na1-',NULL,NULL,0.0,0,0,0.0,1.79582658546352410319e+09);
INSERT INTO "credentials" VALUES('01a21f9b11ed7a1e9107749d7be3aecb','secret:11:ntn_',NULL,'secret:10:nrt_',NULL,'digest of secret:10:nrt_',NULL,NULL,0.0,0,0,0.0,1.79582658609533929831e+09);
INSERT INTO "credentials" VALUES('01a21f9b13b57bf4a95c7cf9ec2f7861','secret:2:oaa',1.79583018654390358923e+09,'secret:3:oar',1.8010105865439035893e+09,'digest of secret:3:oar',NULL,NULL,0.0,0,0,0.0,1.79582658655124640465e+09);
CREATE TABLE flows (
	id VARCHAR NOT NULL, 
	provider VARCHAR NOT NULL, 
	org_id VARCHAR NOT NULL, 
	user_id VARCHAR NOT NULL, 
	return_url VARCHAR, 
	redirect_uri VARCHAR NOT NULL, 
	status VARCHAR NOT NULL, 
	connection_id VARCHAR, 
	error_code VARCHAR, 
	error_detail VARCHAR, 
	created FLOAT NOT NULL, 
	expires FLOAT NOT NULL, 
	state_hash VARCHAR NOT NULL, 
	state_sealed TEXT NOT NULL, 
	verifier_sealed TEXT NOT NULL, 
	nonce_hash VARCHAR, 
	used INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (state_hash)
);
INSERT INTO "flows" VALUES('01a21f9b0f07718fa3610bc588dfcc82','hubspot','demo','demo',NULL,'http://localhost:42239/integrations/hubspot/oauth2callback','connected','01a21f9b0f6c72a885d43fa9a5264b18',NULL,NULL,1.79582658535189223286e+09,1.79582664544190764429e+09,'digest of secret:13:','secret:13:','secret:17:','spent',1);
INSERT INTO "flows" VALUES('01a21f9b11837f0fb3c55dcb4fe05be1','notion','demo','demo',NULL,'http://localhost:42239/integrations/notion/oauth2callback','connected','01a21f9b11ed7a1e9107749d7be3aecb',NULL,NULL,1.79582658598756456373e+09,1.79582664606616020206e+09,'digest of secret:14:','secret:14:','secret:18:','spent',1);
INSERT INTO "flows" VALUES('01a21f9b138275268b8e80b7a70727fa','airtable','demo','demo',NULL,'http://localhost:42239/integrations/airtable/oauth2callback','connected','01a21f9b13b57bf4a95c7cf9ec2f7861',NULL,NULL,1.79582658649846220021e+09,1.7958266465421338082e+09,'digest of secret:15:','secret:15:','secret:19:','spent',1);
INSERT INTO "flows" VALUES('01a21f9b150b7150ac63368874c4c50c','notion','demo','former',NULL,'http://localhost:42239/integrations/notion/oauth2callback','connected','01a21f9b15447ac88d3474171e6e0f20',NULL,NULL,1.79582658689174175258e+09,1.79582664694200158121e+09,'digest of secret:16:','secret:16:','secret:20:','spent',1);
CREATE TABLE outbox (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	topic VARCHAR NOT NULL, 
	"key" BLOB NOT NULL, 
	value BLOB, 
	headers BLOB NOT NULL, 
	not_before FLOAT NOT NULL
);
CREATE INDEX connections_of_a_grant ON connections (provider, client_id, account_id, grantee);
CREATE INDEX ix_flows_created ON flows (created);
CREATE INDEX ix_outbox_not_before ON outbox (not_before);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('outbox',5);
COMMIT;
