BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0003');
CREATE TABLE connections (
	id VARCHAR NOT NULL, 
	version INTEGER NOT NULL, 
	generation INTEGER NOT NULL, 
	status VARCHAR NOT NULL, 
	snapshot BLOB NOT NULL, parallel INTEGER DEFAULT '4' NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "connections" VALUES('01a21f9b0f6c72a885d43fa9a5264b18',1,1,'active',CAST('{"id":"01a21f9b0f6c72a885d43fa9a5264b18","version":1,"generation":1,"org_id":"demo","user_id":"demo","provider":"hubspot","client_id":"tributary-sandbox-hubspot","account":{"id":"179893287","name":"recorded.example"},"grantee":"870407","status":"active","reason":null,"scopes":["oauth","crm.objects.contacts.read","crm.objects.companies.read","crm.objects.deals.read"],"resources":["companies","contacts","deals"],"epoch":1,"sync_id":"01a21f9b0f6c7df3a06160400cc47212","created":"2026-11-28T00:43:05.452Z","updated":"2026-11-28T00:43:05.452Z"}' AS BLOB),4);
INSERT INTO "connections" VALUES('01a21f9b11ed7a1e9107749d7be3aecb',1,1,'active',CAST('{"id":"01a21f9b11ed7a1e9107749d7be3aecb","version":1,"generation":1,"org_id":"demo","user_id":"demo","provider":"notion","client_id":"tributary-sandbox-notion","account":{"id":"0303bc86-fb67-448a-ab65-36a8d1cd99cf","name":"Recorded"},"grantee":"b39f5a40-1089-4cd7-a36a-bb01ea85db2f","status":"active","reason":null,"scopes":[],"resources":["pages","data_sources","users"],"epoch":1,"sync_id":"01a21f9b11ed7a3b801876ea2ecefe80","created":"2026-11-28T00:43:06.093Z","updated":"2026-11-28T00:43:06.093Z"}' AS BLOB),3);
INSERT INTO "connections" VALUES('01a21f9b13b57bf4a95c7cf9ec2f7861',1,1,'active',CAST('{"id":"01a21f9b13b57bf4a95c7cf9ec2f7861","version":1,"generation":1,"org_id":"demo","user_id":"demo","provider":"airtable","client_id":"tributary-sandbox-airtable","account":{"id":"usryhDYXPs7DG63gO","name":"Recorded"},"grantee":null,"status":"active","reason":null,"scopes":["data.records:read","schema.bases:read","user.email:read"],"resources":["bases","tables","records"],"epoch":1,"sync_id":"01a21f9b13b57f76b92fa98895cb0abc","created":"2026-11-28T00:43:06.549Z","updated":"2026-11-28T00:43:06.549Z"}' AS BLOB),4);
INSERT INTO "connections" VALUES('01a21f9b15447ac88d3474171e6e0f20',2,1,'disconnected',CAST('{"id":"01a21f9b15447ac88d3474171e6e0f20","version":2,"generation":1,"org_id":"demo","user_id":"former","provider":"notion","client_id":"tributary-sandbox-notion","account":{"id":"0303bc86-fb67-448a-ab65-36a8d1cd99cf","name":"Recorded"},"grantee":"b39f5a40-1089-4cd7-a36a-bb01ea85db2f","status":"disconnected","reason":null,"scopes":[],"resources":["pages","data_sources","users"],"epoch":1,"sync_id":"01a21f9b15447af48291d3a1da1c6486","created":"2026-11-28T00:43:06.948Z","updated":"2026-11-28T00:43:07.305Z"}' AS BLOB),3);
CREATE TABLE cursors (
	job VARCHAR NOT NULL, 
	digest BLOB NOT NULL, 
	PRIMARY KEY (job, digest)
)
 WITHOUT ROWID

;
CREATE TABLE job_syncs (
	job VARCHAR NOT NULL, 
	sync VARCHAR NOT NULL, 
	PRIMARY KEY (job, sync)
);
INSERT INTO "job_syncs" VALUES('01a21f9b0fb8703391dc790570773007','01a21f9b0f6c7df3a06160400cc47212');
INSERT INTO "job_syncs" VALUES('01a21f9b0fb874cd99ea13b5c1cc46e1','01a21f9b0f6c7df3a06160400cc47212');
INSERT INTO "job_syncs" VALUES('01a21f9b0fb8767295a119ed275e4571','01a21f9b0f6c7df3a06160400cc47212');
INSERT INTO "job_syncs" VALUES('01a21f9b123475ef9b219fb1a718f057','01a21f9b11ed7a3b801876ea2ecefe80');
INSERT INTO "job_syncs" VALUES('01a21f9b1234764eb4a8e65d26f95ab4','01a21f9b11ed7a3b801876ea2ecefe80');
INSERT INTO "job_syncs" VALUES('01a21f9b12347264a1ed17cb58ac8f5f','01a21f9b11ed7a3b801876ea2ecefe80');
INSERT INTO "job_syncs" VALUES('01a21f9b13c47c988629bde80525595f','01a21f9b13b57f76b92fa98895cb0abc');
INSERT INTO "job_syncs" VALUES('01a21f9b13c4744a9451847cd65a1261','01a21f9b13b57f76b92fa98895cb0abc');
INSERT INTO "job_syncs" VALUES('01a21f9b13c47fd8b82576d2c9ef850f','01a21f9b13b57f76b92fa98895cb0abc');
INSERT INTO "job_syncs" VALUES('01a21f9b155b74e2852f47ef441b2a94','01a21f9b15447af48291d3a1da1c6486');
INSERT INTO "job_syncs" VALUES('01a21f9b155b7c6db0ef54ffaf996de3','01a21f9b15447af48291d3a1da1c6486');
INSERT INTO "job_syncs" VALUES('01a21f9b155b7afb83f37a269dfbc4af','01a21f9b15447af48291d3a1da1c6486');
CREATE TABLE jobs (
	id VARCHAR NOT NULL, 
	connection VARCHAR NOT NULL, 
	resource VARCHAR NOT NULL, 
	generation INTEGER NOT NULL, 
	kind VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	wake INTEGER NOT NULL, 
	worker VARCHAR, 
	epoch INTEGER NOT NULL, 
	seq INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	first_version INTEGER, 
	cursor TEXT, 
	place VARCHAR, 
	empty INTEGER NOT NULL, 
	pages INTEGER NOT NULL, 
	items INTEGER NOT NULL, 
	expected INTEGER, 
	attempts INTEGER NOT NULL, 
	receipt TEXT NOT NULL, 
	positions TEXT NOT NULL, 
	waiting TEXT, 
	error TEXT, 
	started FLOAT, 
	ended FLOAT, 
	changed FLOAT NOT NULL, pending TEXT DEFAULT '[]' NOT NULL, background BOOLEAN DEFAULT 0 NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "jobs" VALUES('01a21f9b0fb8703391dc790570773007','01a21f9b0f6c72a885d43fa9a5264b18','companies',1,'load','done',1,'vm-24643-7d7f1b9c',1,2,3,1048576,'{"$walk":"complete"}','',0,1,2,2,0,'{"read":2,"emitted":2,"unchanged":0,"deleted":0,"dropped":0,"oversized":0,"restarts":0,"why_dropped":{}}','{"3":1}','null','null',1.79582658559332919122e+09,1.79582658584876513475e+09,1.79582658584876513475e+09,'[]',0);
INSERT INTO "jobs" VALUES('01a21f9b0fb874cd99ea13b5c1cc46e1','01a21f9b0f6c72a885d43fa9a5264b18','contacts',1,'load','done',1,'vm-24643-7d7f1b9c',1,2,3,1048576,'{"$walk":"complete"}','',0,1,3,3,0,'{"read":3,"emitted":3,"unchanged":0,"deleted":0,"dropped":0,"oversized":0,"restarts":0,"why_dropped":{}}','{"6":2}','null','null',1.79582658565051531789e+09,1.79582658582779049879e+09,1.79582658582779049879e+09,'[]',0);
INSERT INTO "jobs" VALUES('01a21f9b0fb8767295a119ed275e4571','01a21f9b0f6c72a885d43fa9a5264b18','deals',1,'load','done',1,'vm-24643-7d7f1b9c',1,2,3,1048576,'{"$walk":"complete"}','',0,1,2,2,0,'{"read":2,"emitted":2,"unchanged":0,"deleted":0,"dropped":0,"oversized":0,"restarts":0,"why_dropped":{}}','{"5":1}','null','null',1.79582658561398315431e+09,1.79582658585209465024e+09,1.79582658585209465024e+09,'[]',0);
INSERT INTO "jobs" VALUES('01a21f9b123475ef9b219fb1a718f057','01a21f9b11ed7a1e9107749d7be3aecb','pages',1,'load','done',1,'vm-24643-7d7f1b9c',1,4,5,1048576,'{"$walk":"complete"}','rows of e0f52751-b449-49f0-81eb-6504ead89110',0,3,3,NULL,0,'{"read":6,"emitted":3,"unchanged":3,"deleted":0,"dropped":0,"oversized":0,"restarts":0,"why_dropped":{}}','{"5":4}','null','null',1.79582658618822097774e+09,1.79582658626703929897e+09,1.79582658626703929897e+09,'[]',0);
INSERT INTO "jobs" VALUES('01a21f9b1234764eb4a8e65d26f95ab4','01a21f9b11ed7a1e9107749d7be3aecb','data_sources',1,'load','done',1,'vm-24643-7d7f1b9c',1,2,3,1048576,'{"$walk":"complete"}','search',0,1,1,NULL,0,'{"read":1,"emitted":1,"unchanged":0,"deleted":0,"dropped":0,"oversized":0,"restarts":0,"why_dropped":{}}','{"3":2}','null','null',1.79582658620964860912e+09,1.7958265862571940422e+09,1.7958265862571940422e+09,'[]',0);
INSERT INTO "jobs" VALUES('01a21f9b12347264a1ed17cb58ac8f5f','01a21f9b11ed7a1e9107749d7be3aecb','users',1,'load','done',1,'vm-24643-7d7f1b9c',1,2,3,1048576,'{"$walk":"complete"}','search',0,1,2,NULL,0,'{"read":2,"emitted":2,"unchanged":0,"deleted":0,"dropped":0,"oversized":0,"restarts":0,"why_dropped":{}}','{"1":1}','null','null',1.79582658619994854926e+09,1.79582658625134539611e+09,1.79582658625134539611e+09,'[]',0);
INSERT INTO "jobs" VALUES('01a21f9b13c47c988629bde80525595f','01a21f9b13b57bf4a95c7cf9ec2f7861','bases',1,'load','done',1,'vm-24643-7d7f1b9c',1,2,3,1048576,'{"$walk":"complete"}','bases',0,1,1,NULL,0,'{"read":1,"emitted":1,"unchanged":0,"deleted":0,"dropped":0,"oversized":0,"restarts":0,"why_dropped":{}}','{"6":3}','null','null',1.79582658657795453068e+09,1.79582658662170267099e+09,1.79582658662170267099e+09,'[]',0);
INSERT INTO "jobs" VALUES('01a21f9b13c4744a9451847cd65a1261','01a21f9b13b57bf4a95c7cf9ec2f7861','tables',1,'load','done',1,'vm-24643-7d7f1b9c',1,3,4,1048576,'{"$walk":"complete"}','appLbGHABSHRsLr84',0,2,1,NULL,0,'{"read":1,"emitted":1,"unchanged":0,"deleted":0,"dropped":0,"oversized":0,"restarts":0,"why_dropped":{}}','{"4":0}','null','null',1.7958265865856311321e+09,1.79582658663023495677e+09,1.79582658663023495677e+09,'[]',0);
INSERT INTO "jobs" VALUES('01a21f9b13c47fd8b82576d2c9ef850f','01a21f9b13b57bf4a95c7cf9ec2f7861','records',1,'load','done',1,'vm-24643-7d7f1b9c',1,4,5,1048576,'{"$walk":"complete"}','appLbGHABSHRsLr84/tblCAi2Afl7IzhWWJ',0,3,5,NULL,0,'{"read":5,"emitted":5,"unchanged":0,"deleted":0,"dropped":0,"oversized":0,"restarts":0,"why_dropped":{}}','{"3":7}','null','null',1.79582658659370684624e+09,1.79582658663805317875e+09,1.79582658663805317875e+09,'[]',0);
INSERT INTO "jobs" VALUES('01a21f9b155b74e2852f47ef441b2a94','01a21f9b15447ac88d3474171e6e0f20','pages',1,'load','done',1,'vm-24643-7d7f1b9c',1,4,5,1048576,'{"$walk":"complete"}','rows of e0f52751-b449-49f0-81eb-6504ead89110',0,3,3,NULL,0,'{"read":6,"emitted":3,"unchanged":3,"deleted":0,"dropped":0,"oversized":0,"restarts":0,"why_dropped":{}}','{"4":3}','null','null',1.79582658698947882653e+09,1.79582658703576946261e+09,1.79582658703576946261e+09,'[]',0);
INSERT INTO "jobs" VALUES('01a21f9b155b7c6db0ef54ffaf996de3','01a21f9b15447ac88d3474171e6e0f20','data_sources',1,'load','done',1,'vm-24643-7d7f1b9c',1,2,3,1048576,'{"$walk":"complete"}','search',0,1,1,NULL,0,'{"read":1,"emitted":1,"unchanged":0,"deleted":0,"dropped":0,"oversized":0,"restarts":0,"why_dropped":{}}','{"0":0}','null','null',1.79582658699618840213e+09,1.79582658702991747852e+09,1.79582658702991747852e+09,'[]',0);
INSERT INTO "jobs" VALUES('01a21f9b155b7afb83f37a269dfbc4af','01a21f9b15447ac88d3474171e6e0f20','users',1,'load','done',1,'vm-24643-7d7f1b9c',1,2,3,1048576,'{"$walk":"complete"}','search',0,1,2,NULL,0,'{"read":2,"emitted":2,"unchanged":0,"deleted":0,"dropped":0,"oversized":0,"restarts":0,"why_dropped":{}}','{"0":2}','null','null',1.79582658700291514395e+09,1.79582658703996682165e+09,1.79582658703996682165e+09,'[]',0);
INSERT INTO "jobs" VALUES('01a21f9b16bb712baed64e36643200a8','01a21f9b15447ac88d3474171e6e0f20','data_sources',1,'purge','done',1,'vm-24643-7d7f1b9c',2,2,2,2097152,'null',NULL,0,0,0,NULL,0,'{"read":0,"emitted":0,"unchanged":0,"deleted":1,"dropped":0,"oversized":0,"restarts":0,"why_dropped":{}}','{"0":3}','null','null',1.79582658735061359402e+09,1.79582658737432813642e+09,1.79582658737432813642e+09,'[]',1);
INSERT INTO "jobs" VALUES('01a21f9b16bb780faff11af0f95bd8af','01a21f9b15447ac88d3474171e6e0f20','pages',1,'purge','done',1,'vm-24643-7d7f1b9c',2,2,2,2097152,'null',NULL,0,0,0,NULL,0,'{"read":0,"emitted":0,"unchanged":0,"deleted":3,"dropped":0,"oversized":0,"restarts":0,"why_dropped":{}}','{"4":6}','null','null',1795826587.36287,1.79582658739105653763e+09,1.79582658739105653763e+09,'[]',1);
INSERT INTO "jobs" VALUES('01a21f9b16bb7ff38f82d93fd177bd1c','01a21f9b15447ac88d3474171e6e0f20','users',1,'purge','done',1,'vm-24643-7d7f1b9c',2,2,2,2097152,'null',NULL,0,0,0,NULL,0,'{"read":0,"emitted":0,"unchanged":0,"deleted":2,"dropped":0,"oversized":0,"restarts":0,"why_dropped":{}}','{"0":5}','null','null',1.79582658738041114811e+09,1.79582658740331459049e+09,1.79582658740331459049e+09,'[]',1);
CREATE TABLE lanes (
	connection VARCHAR NOT NULL, 
	resource VARCHAR NOT NULL, 
	epoch INTEGER NOT NULL, 
	job VARCHAR, 
	loaded INTEGER NOT NULL, 
	held INTEGER, 
	PRIMARY KEY (connection, resource)
);
INSERT INTO "lanes" VALUES('01a21f9b0f6c72a885d43fa9a5264b18','companies',1,NULL,1,NULL);
INSERT INTO "lanes" VALUES('01a21f9b0f6c72a885d43fa9a5264b18','contacts',1,NULL,1,NULL);
INSERT INTO "lanes" VALUES('01a21f9b0f6c72a885d43fa9a5264b18','deals',1,NULL,1,NULL);
INSERT INTO "lanes" VALUES('01a21f9b11ed7a1e9107749d7be3aecb','pages',1,NULL,1,NULL);
INSERT INTO "lanes" VALUES('01a21f9b11ed7a1e9107749d7be3aecb','data_sources',1,NULL,1,NULL);
INSERT INTO "lanes" VALUES('01a21f9b11ed7a1e9107749d7be3aecb','users',1,NULL,1,NULL);
INSERT INTO "lanes" VALUES('01a21f9b13b57bf4a95c7cf9ec2f7861','bases',1,NULL,1,NULL);
INSERT INTO "lanes" VALUES('01a21f9b13b57bf4a95c7cf9ec2f7861','tables',1,NULL,1,NULL);
INSERT INTO "lanes" VALUES('01a21f9b13b57bf4a95c7cf9ec2f7861','records',1,NULL,1,NULL);
INSERT INTO "lanes" VALUES('01a21f9b15447ac88d3474171e6e0f20','pages',2,NULL,0,NULL);
INSERT INTO "lanes" VALUES('01a21f9b15447ac88d3474171e6e0f20','data_sources',2,NULL,0,NULL);
INSERT INTO "lanes" VALUES('01a21f9b15447ac88d3474171e6e0f20','users',2,NULL,0,NULL);
CREATE TABLE outbox (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	topic VARCHAR NOT NULL, 
	"key" BLOB NOT NULL, 
	value BLOB, 
	headers BLOB NOT NULL, 
	not_before FLOAT NOT NULL
);
CREATE TABLE seen (
	connection VARCHAR NOT NULL, 
	resource VARCHAR NOT NULL, 
	id VARCHAR NOT NULL, 
	digest BLOB NOT NULL, 
	version INTEGER NOT NULL, 
	PRIMARY KEY (connection, resource, id)
)
 WITHOUT ROWID

;
INSERT INTO "seen" VALUES('01a21f9b0f6c72a885d43fa9a5264b18','companies','18204110035',X'B30887E488D10FBC38AA6F79473B639B',1048577);
INSERT INTO "seen" VALUES('01a21f9b0f6c72a885d43fa9a5264b18','companies','18204110049',X'35C8707A336A86E87CA52F4EE12DD8C0',1048577);
INSERT INTO "seen" VALUES('01a21f9b0f6c72a885d43fa9a5264b18','contacts','90121035',X'156406C72A95A540ACAF2F41B1966EDC',1048577);
INSERT INTO "seen" VALUES('01a21f9b0f6c72a885d43fa9a5264b18','contacts','90121049',X'4653AE460A10AD82D3FD7D2DD0C4358F',1048577);
INSERT INTO "seen" VALUES('01a21f9b0f6c72a885d43fa9a5264b18','contacts','90121065',X'DCB72108DC14FBD17385A8BDA97D97FA',1048577);
INSERT INTO "seen" VALUES('01a21f9b0f6c72a885d43fa9a5264b18','deals','31870250035',X'3488B8CC7F5BCB94647C700686DEF927',1048577);
INSERT INTO "seen" VALUES('01a21f9b0f6c72a885d43fa9a5264b18','deals','31870250049',X'31425FC6761592965286FABBF8A8E5A4',1048577);
INSERT INTO "seen" VALUES('01a21f9b11ed7a1e9107749d7be3aecb','data_sources','e0f52751-b449-49f0-81eb-6504ead89110',X'DB9F1AC121CACB263D12360E399EAA85',1048577);
INSERT INTO "seen" VALUES('01a21f9b11ed7a1e9107749d7be3aecb','pages','0da2f409-aeb6-4735-839d-1163f8ca3614',X'469F407DEB66DE702396A9FE6930FC0A',1048579);
INSERT INTO "seen" VALUES('01a21f9b11ed7a1e9107749d7be3aecb','pages','1268f952-7aa2-4a03-a1e1-b1ca1ce4e023',X'0656DFB673083607C802CF066F806ABF',1048579);
INSERT INTO "seen" VALUES('01a21f9b11ed7a1e9107749d7be3aecb','pages','439d5cbc-468d-42e3-bcf6-183b61b7c733',X'DF2548127D8A2519E301F271C8B620BE',1048579);
INSERT INTO "seen" VALUES('01a21f9b11ed7a1e9107749d7be3aecb','users','b39f5a40-1089-4cd7-a36a-bb01ea85db2f',X'9E7D67353B23344AC8D81B88E0DACA53',1048577);
INSERT INTO "seen" VALUES('01a21f9b11ed7a1e9107749d7be3aecb','users','d75d8d55-3b55-4279-9665-1c2598a06ca9',X'F0CA5119D7F417AF10452588C4BF8AF1',1048577);
INSERT INTO "seen" VALUES('01a21f9b13b57bf4a95c7cf9ec2f7861','bases','appLbGHABSHRsLr84',X'26E8BF6F4715319B2D35ACD283BB5490',1048577);
INSERT INTO "seen" VALUES('01a21f9b13b57bf4a95c7cf9ec2f7861','records','appLbGHABSHRsLr84/tblCAi2Afl7IzhWWJ/rec1RQaPlco85F6Er',X'97E846C33A56D25C957831AEDA5BD30F',1048579);
INSERT INTO "seen" VALUES('01a21f9b13b57bf4a95c7cf9ec2f7861','records','appLbGHABSHRsLr84/tblCAi2Afl7IzhWWJ/recJkblVXy1LxRYki',X'4EC0DC4D11B576EEE7405DB1D75B6228',1048579);
INSERT INTO "seen" VALUES('01a21f9b13b57bf4a95c7cf9ec2f7861','records','appLbGHABSHRsLr84/tblCAi2Afl7IzhWWJ/rece2g9XzfCCEuBla',X'1532D5979A40B40D33BBA493395E94F1',1048579);
INSERT INTO "seen" VALUES('01a21f9b13b57bf4a95c7cf9ec2f7861','records','appLbGHABSHRsLr84/tblCAi2Afl7IzhWWJ/recf8N5oVwn3qWOp0',X'3F1EEB6C5967F1881DCA18D05B417037',1048579);
INSERT INTO "seen" VALUES('01a21f9b13b57bf4a95c7cf9ec2f7861','records','appLbGHABSHRsLr84/tblCAi2Afl7IzhWWJ/reck9F1vWtAKLY31Y',X'53F448674A30D5A6F52FC9F9C27532B3',1048579);
INSERT INTO "seen" VALUES('01a21f9b13b57bf4a95c7cf9ec2f7861','tables','appLbGHABSHRsLr84/tblCAi2Afl7IzhWWJ',X'8B6F71A9B104BBDFC9C143666B350843',1048578);
CREATE TABLE syncs (
	id VARCHAR NOT NULL, 
	connection VARCHAR NOT NULL, 
	requested FLOAT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "syncs" VALUES('01a21f9b0f6c7df3a06160400cc47212','01a21f9b0f6c72a885d43fa9a5264b18',1.79582658552578353886e+09);
INSERT INTO "syncs" VALUES('01a21f9b11ed7a3b801876ea2ecefe80','01a21f9b11ed7a1e9107749d7be3aecb',1.79582658616015982625e+09);
INSERT INTO "syncs" VALUES('01a21f9b13b57f76b92fa98895cb0abc','01a21f9b13b57bf4a95c7cf9ec2f7861',1.79582658656316566467e+09);
INSERT INTO "syncs" VALUES('01a21f9b15447af48291d3a1da1c6486','01a21f9b15447ac88d3474171e6e0f20',1.79582658697024488453e+09);
CREATE TABLE unclaimed (
	sync VARCHAR NOT NULL, 
	connection VARCHAR NOT NULL, 
	request BLOB NOT NULL, 
	until FLOAT NOT NULL, 
	PRIMARY KEY (sync)
);
CREATE TABLE workers (
	id VARCHAR NOT NULL, 
	beat FLOAT NOT NULL, 
	PRIMARY KEY (id)
);
CREATE INDEX job_syncs_by_sync ON job_syncs (sync);
CREATE INDEX jobs_by_lane ON jobs (connection, resource, state);
CREATE INDEX jobs_by_state ON jobs (state, changed);
CREATE INDEX ix_outbox_not_before ON outbox (not_before);
CREATE INDEX ix_unclaimed_connection ON unclaimed (connection);
CREATE INDEX jobs_by_turn ON jobs (connection, state, changed);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('outbox',51);
COMMIT;
