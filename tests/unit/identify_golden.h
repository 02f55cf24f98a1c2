/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What nvme-cli 2.3 prints (nvme id-ctrl -o json, nvme id-ns -o json) for the Identify data that
 * test_identify_json.c makes.
 */
#ifndef IDENTIFY_GOLDEN_H
#define IDENTIFY_GOLDEN_H

static const char golden_ctrl[] =
	"{\"vid\":2563,\"ssvid\":6161,\"sn\":\"S/N \\\"1\\\"\\\\            \","
	"\"mn\":\"Model with blanks                       \",\"fr\":\"1.0     \","
	"\"rab\":123,\"ieee\":1050882,\"cmic\":23,\"mdts\":30,\"cntlid\":11301,"
	"\"ver\":1212234291,\"rtd3r\":1683838543,\"rtd3e\":7959147,\"oaes\":471141895,"
	"\"ctratt\":942746147,\"rrls\":17983,\"cntrltype\":12,"
	"\"fguid\":\"131a2128-2f36-3d44-4b52-5960676e757c\",\"crdt1\":2563,"
	"\"crdt2\":6161,\"crdt3\":9759,\"nvmsr\":110,\"vwci\":117,\"mec\":124,"
	"\"oacs\":2818,\"acl\":16,\"aerl\":25,\"frmw\":30,\"lpa\":39,\"elpe\":44,\"npss\":2,"
	"\"avscc\":58,\"apsta\":67,\"wctemp\":20808,\"cctemp\":24406,\"mtfa\":28004,"
	"\"hmpre\":151026546,\"hmmin\":622597902,"
	"\"tnvmcap\":\"27976247470984946609421084004705645354\","
	"\"unvmcap\":\"7292407143836023271789238199056343834\",\"rpmbs\":555225866,"
	"\"edstt\":12070,\"dsto\":52,\"fwug\":61,\"kas\":19266,\"hctma\":22864,"
	"\"mntmt\":26462,\"mxtmt\":30060,\"sanicap\":285737850,\"hmminds\":757341974,"
	"\"hmmaxd\":15154,\"nsetidmax\":18752,\"endgidmax\":22350,\"anatt\":92,"
	"\"anacap\":101,\"anagrpmax\":24671082,\"nanagrpid\":487853830,"
	"\"pels\":959458082,\"domainid\":18238,"
	"\"megcap\":\"166758065367569930659527534622963407634\",\"sqes\":1,\"cqes\":8,"
	"\"maxcmd\":6675,\"nn\":909059101,\"oncs\":16441,\"fuses\":21067,\"fna\":85,"
	"\"vwc\":92,\"awun\":28263,\"awupf\":30833,\"icsvscc\":3,\"nwpc\":10,\"acwu\":5133,"
	"\"ocfs\":9759,\"sgls\":1111175209,\"mnan\":1582779461,"
	"\"maxdna\":\"104049657907374629084154175526741960801\","
	"\"maxcna\":1784895569,\"subnqn\":\"nqn.2014-08.org.example:x\","
	"\"ioccsz\":521538820,\"iorcsz\":858399000,\"icdoff\":17724,\"fcatt\":78,"
	"\"msdbd\":87,\"ofcs\":22864,\"psds\":[{\"max_power\":523,\"flags\":16,"
	"\"entry_lat\":1009069591,\"exit_lat\":1480673843,\"read_tput\":95,"
	"\"read_lat\":86,\"write_tput\":109,\"write_lat\":100,\"idle_power\":29307,"
	"\"idle_scale\":0,\"active_power\":7687,\"active_power_work\":5,"
	"\"active_scale\":0},{\"max_power\":25195,\"flags\":112,"
	"\"entry_lat\":470093431,\"exit_lat\":941697555,\"read_tput\":63,"
	"\"read_lat\":54,\"write_tput\":77,\"write_lat\":68,\"idle_power\":21083,"
	"\"idle_scale\":1,\"active_power\":32359,\"active_power_work\":5,"
	"\"active_scale\":1},{\"max_power\":16971,\"flags\":80,"
	"\"entry_lat\":2087022167,\"exit_lat\":402721395,\"read_tput\":31,"
	"\"read_lat\":22,\"write_tput\":45,\"write_lat\":36,\"idle_power\":12859,"
	"\"idle_scale\":1,\"active_power\":24135,\"active_power_work\":5,"
	"\"active_scale\":1}]}";

static const char golden_ns[] =
	"{\"nsze\":3759703178913843715,\"ncap\":7810752857846137403,"
	"\"nuse\":2602260413504649843,\"nsfeat\":59,\"nlbaf\":5,\"flbas\":57,\"mc\":64,"
	"\"dpc\":71,\"dps\":78,\"nmic\":85,\"rescap\":92,\"fpi\":99,\"dlfeat\":106,"
	"\"nawun\":30833,\"nawupf\":1663,\"nacwu\":5133,\"nabsn\":8731,\"nabo\":12329,"
	"\"nabspf\":15927,\"noiob\":19525,"
	"\"nvmcap\":\"80029807571271232937297037006127323731\",\"nsattr\":56,"
	"\"nvmsetid\":17983,\"npwg\":19011,\"npwa\":22609,\"npdg\":26207,\"npda\":29805,"
	"\"nows\":635,\"mssrl\":4105,\"mcl\":740630039,\"msrc\":51,\"nulbaf\":65,"
	"\"anagrpid\":471141895,\"endgid\":21581,\"eui64\":\"4b525960676e757c\","
	"\"nguid\":\"5b626970777e050c131a21282f363d44\",\"lbafs\":[{\"ms\":2563,"
	"\"ds\":17,\"rp\":24},{\"ms\":9759,\"ds\":45,\"rp\":52},{\"ms\":16955,\"ds\":73,"
	"\"rp\":80},{\"ms\":24151,\"ds\":101,\"rp\":108},{\"ms\":31347,\"ds\":1,\"rp\":8},"
	"{\"ms\":5647,\"ds\":29,\"rp\":36}]}";

static const char golden_ns_plain[] =
	"{\"nsze\":3759703178913843715,\"ncap\":7810752857846137403,"
	"\"nuse\":2602260413504649843,\"nsfeat\":43,\"nlbaf\":0,\"flbas\":57,\"mc\":64,"
	"\"dpc\":71,\"dps\":78,\"nmic\":85,\"rescap\":92,\"fpi\":99,\"dlfeat\":106,"
	"\"nawun\":30833,\"nawupf\":1663,\"nacwu\":5133,\"nabsn\":8731,\"nabo\":12329,"
	"\"nabspf\":15927,\"noiob\":19525,"
	"\"nvmcap\":\"80029807571271232937297037006127323731\",\"nsattr\":56,"
	"\"nvmsetid\":17983,\"mssrl\":4105,\"mcl\":740630039,\"msrc\":51,\"nulbaf\":65,"
	"\"anagrpid\":471141895,\"endgid\":21581,\"eui64\":\"4b525960676e757c\","
	"\"nguid\":\"5b626970777e050c131a21282f363d44\",\"lbafs\":[{\"ms\":2563,"
	"\"ds\":17,\"rp\":24}]}";

#endif
