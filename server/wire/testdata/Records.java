// Prints one line for each jute record of Apache ZooKeeper: its name, its fields in order, and
// its bytes with values derived from the fields' order. Run with the release's jute jar and its
// dependencies as class path: java -cp zookeeper-jute-3.9.5.jar:... Records.java > records.txt
import java.io.ByteArrayOutputStream;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.util.ArrayList;
import java.util.List;
import org.apache.jute.BinaryOutputArchive;
import org.apache.jute.Record;

public class Records {
    static final String[] NAMES = (
        "data.ACL data.ClientInfo data.Id data.Stat data.StatPersisted "
        + "proto.AddWatchRequest proto.AuthPacket proto.CheckVersionRequest proto.CheckWatchesRequest "
        + "proto.ConnectRequest proto.ConnectResponse proto.Create2Response proto.CreateRequest "
        + "proto.CreateResponse proto.CreateTTLRequest proto.DeleteRequest proto.ErrorResponse "
        + "proto.ExistsRequest proto.ExistsResponse proto.GetACLRequest proto.GetACLResponse "
        + "proto.GetAllChildrenNumberRequest proto.GetAllChildrenNumberResponse "
        + "proto.GetChildren2Request proto.GetChildren2Response proto.GetChildrenRequest "
        + "proto.GetChildrenResponse proto.GetDataRequest proto.GetDataResponse "
        + "proto.GetEphemeralsRequest proto.GetEphemeralsResponse proto.GetSASLRequest "
        + "proto.MultiHeader proto.ReconfigRequest proto.RemoveWatchesRequest proto.ReplyHeader "
        + "proto.RequestHeader proto.SetACLRequest proto.SetACLResponse proto.SetDataRequest "
        + "proto.SetDataResponse proto.SetSASLResponse proto.SetWatches proto.SetWatches2 "
        + "proto.SyncRequest proto.SyncResponse proto.WatcherEvent proto.WhoAmIResponse "
        + "server.persistence.FileHeader server.quorum.LearnerInfo server.quorum.QuorumAuthPacket "
        + "server.quorum.QuorumPacket txn.CheckVersionTxn txn.CloseSessionTxn "
        + "txn.CreateContainerTxn txn.CreateSessionTxn txn.CreateTTLTxn txn.CreateTxn "
        + "txn.DeleteTxn txn.ErrorTxn txn.SetACLTxn txn.SetDataTxn txn.Txn txn.TxnDigest "
        + "txn.TxnHeader").split(" ");

    static int counter;

    public static void main(String[] args) throws Exception {
        for (String name : NAMES) {
            counter = 0;
            Class<?> type = Class.forName("org.apache.zookeeper." + name);
            Record record = (Record) filled(type);
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            record.serialize(BinaryOutputArchive.getArchive(out), "record");
            StringBuilder line = new StringBuilder(type.getSimpleName());
            for (Field field : fields(type)) {
                line.append(' ').append(field.getName());
            }
            line.append(" = ");
            for (byte b : out.toByteArray()) {
                line.append(String.format("%02x", b));
            }
            System.out.println(line);
        }
    }

    static List<Field> fields(Class<?> type) {
        List<Field> fields = new ArrayList<>();
        for (Field field : type.getDeclaredFields()) {
            if (!Modifier.isStatic(field.getModifiers())) {
                field.setAccessible(true);
                fields.add(field);
            }
        }
        return fields;
    }

    static Object filled(Class<?> type) throws Exception {
        Object record = type.getDeclaredConstructor().newInstance();
        for (Field field : fields(type)) {
            if (field.getType() == List.class) {
                ParameterizedType list = (ParameterizedType) field.getGenericType();
                Class<?> item = (Class<?>) list.getActualTypeArguments()[0];
                field.set(record, List.of(value(item), value(item)));
            } else {
                field.set(record, value(field.getType()));
            }
        }
        return record;
    }

    static Object value(Class<?> type) throws Exception {
        if (Record.class.isAssignableFrom(type)) {
            return filled(type);
        }
        int n = ++counter;
        if (type == int.class) {
            return n;
        }
        if (type == long.class) {
            return (long) n;
        }
        if (type == boolean.class) {
            return true;
        }
        if (type == byte[].class) {
            return new byte[] {(byte) n};
        }
        return "s" + n;
    }
}
